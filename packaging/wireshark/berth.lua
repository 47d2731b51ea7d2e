-- SPDX-License-Identifier: Apache-2.0
-- The wrap (docs/wire.md) for Wireshark and tshark, the inner packet with it:
--
--     tshark -X lua_script:berth.lua -r FILE
--
-- or a copy of this file in Wireshark's folder of personal Lua plugins. Filters: berth.sender == 7 && berth.steering == 4100

local HEADER = 12

local berth = Proto("berth", "Berth wrap")
local gue_version = ProtoField.uint8("berth.gue.version", "GUE version", base.DEC, nil, 0xc0)
local gue_control = ProtoField.bool("berth.gue.control", "GUE control message", 8, nil, 0x20)
local gue_words = ProtoField.uint8("berth.gue.words", "GUE header length, words past the first", base.DEC, nil, 0x1f)
local gue_protocol = ProtoField.uint8("berth.gue.protocol", "GUE protocol")
local gue_flags = ProtoField.uint16("berth.gue.flags", "GUE flags", base.HEX)
local format = ProtoField.uint8("berth.format", "Format version", base.DEC, nil, 0xf0)
local forwardings = ProtoField.uint8("berth.forwardings", "Forwardings before this one", base.DEC, nil, 0x0f)
local flags = ProtoField.uint8("berth.flags", "Flags", base.HEX)
local steering = ProtoField.uint16("berth.steering", "Steering port")
local sender = ProtoField.uint32("berth.sender", "Sending server", base.DEC, nil, 0xfffff000)
local site = ProtoField.uint32("berth.site", "Entry site", base.DEC, nil, 0x00000fff)

berth.fields = {
	gue_version, gue_control, gue_words, gue_protocol, gue_flags, format, forwardings, flags, steering, sender, site,
}
berth.prefs.port = Pref.uint("UDP port", 6080, "wrap_port of the fleet file")

-- Only the one form that a server takes: anything else would be shown as what it is not.
local function is_wrap(buffer)
	return buffer:len() > HEADER and buffer(0, 4):uint() == 0x02040000 and buffer(4, 1):bitfield(0, 4) == 1
end

function berth.dissector(buffer, pinfo, tree)
	if not is_wrap(buffer) then
		return 0
	end
	local shown = tree:add(berth, buffer(0, HEADER))

	shown:add(gue_version, buffer(0, 1))
	shown:add(gue_control, buffer(0, 1))
	shown:add(gue_words, buffer(0, 1))
	shown:add(gue_protocol, buffer(1, 1))
	shown:add(gue_flags, buffer(2, 2))
	shown:add(format, buffer(4, 1))
	shown:add(forwardings, buffer(4, 1))
	shown:add(flags, buffer(5, 1))
	shown:add(steering, buffer(6, 2))
	shown:add(sender, buffer(8, 4))
	shown:add(site, buffer(8, 4))
	shown:append_text(string.format(", steering port %d, from server %d", buffer(6, 2):uint(), buffer(8, 4):bitfield(0, 20)))
	Dissector.get("ip"):call(buffer(HEADER):tvb(), pinfo, tree)
	return buffer:len()
end

local port

local function listen()
	local ports = DissectorTable.get("udp.port")

	if port then
		ports:remove(port, berth)
	end
	port = berth.prefs.port
	ports:add(port, berth)
end

berth.prefs_changed = listen
listen()
