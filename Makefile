# SPDX-License-Identifier: Apache-2.0
# Paths, switches, lists, rules. Every object lands in $(BUILD); `make SAN=1` builds into $(BUILD)/asan.

BUILD ?= build
ROOT := $(BUILD)
ifeq ($(SAN),1)
override BUILD := $(ROOT)/asan
endif

CC = gcc
BPF_CLANG ?= clang-19
BPFTOOL ?= bpftool
FUZZ_CLANG ?= clang-19
# Where `make install` puts things, below DESTDIR.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
MANDIR ?= $(PREFIX)/share/man

PKGS := libbpf libuv sqlite3 yaml-0.1 jansson libmnl zlib

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

CFLAGS ?= -O2 -g
CFLAGS_ALL := -std=c17 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Werror -fno-strict-aliasing -fstack-protector-strong -I$(ROOT)/gen $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
BPF_CFLAGS := -std=gnu17 -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter \
	-I/usr/include/$(shell uname -m)-linux-gnu
# Another number of the map layout, for tests of what a version does with another one's.
ifneq ($(LAYOUT),)
CFLAGS_ALL += -DBERTH_LAYOUT_VERSION=$(LAYOUT)
BPF_CFLAGS += -DBERTH_LAYOUT_VERSION=$(LAYOUT)
endif
LDLIBS := $(shell pkg-config --libs $(PKGS))
ifeq ($(SAN),1)
CFLAGS_ALL += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDFLAGS += -fsanitize=address,undefined
endif

ifneq ($(V),1)
Q := @
say = @printf '  %-8s %s\n' $(1) $(2)
endif

# Lists: the folders, in link order (what stands left may use what stands right).
MODULES := cli agent kernel control store core
BPF_PROGRAMS := forwarder guard allocator
sources = $(filter-out %_test.c,$(wildcard src/$(1)/*.c))
objects = $(patsubst src/%.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
UNIT_TESTS := $(patsubst src/%.c,$(BUILD)/test/%,$(wildcard src/*/*_test.c))
BPF_TESTS := $(patsubst test/bpf/%.c,$(BUILD)/test/bpf/%,$(wildcard test/bpf/*_test.c))
FUZZERS := $(patsubst test/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard test/fuzz/*_fuzz.c))
KERNEL_TESTS := $(patsubst test/kernels/%.c,$(BUILD)/test/kernels/%,$(wildcard test/kernels/*.c))

BPF_OBJECTS := $(BPF_PROGRAMS:%=$(ROOT)/bpf/%.bpf.o)
SKELETONS := $(BPF_PROGRAMS:%=$(ROOT)/gen/%.skel.h)
LIBS := $(patsubst %,$(BUILD)/%.a,$(filter-out cli agent,$(MODULES)))

# libberth is its own folder, the control socket's codec, and nothing else.
LIB_OBJECTS := $(patsubst src/%.c,$(BUILD)/pic/%.o,$(call sources,lib) $(call sources,control))
LIB_SONAME := libberth.so.1
MAN_PAGES := $(patsubst docs/man/%.scd,$(ROOT)/man/%,$(wildcard docs/man/*.scd))

BENCH_SKELETONS := $(ROOT)/gen/forwarder_bench.skel.h
BENCH_OBJECTS := $(patsubst bench/%.c,$(BUILD)/bench/obj/%.o,$(filter-out %.bpf.c,$(wildcard bench/*.c bench/*/*.c)))

.PHONY: FORCE all lab tests bench fuzz sanitize man install lint format clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BPF_OBJECTS) $(BUILD)/berth $(BUILD)/berthd $(BUILD)/libberth.so lab

tests: all $(UNIT_TESTS) $(BPF_TESTS) $(KERNEL_TESTS)

sanitize:
	$(Q)$(MAKE) --no-print-directory SAN=1 tests

# BPF: source -> object -> packed, which the loader embeds, and skeleton, for the tests.
$(ROOT)/bpf/%.bpf.o: src/bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(ROOT)/gen/%.bpf.o.gz: $(ROOT)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(Q)gzip -9 -n -c $< > $@

$(BUILD)/obj/kernel/programs.o: CFLAGS_ALL += -DOBJECTS_DIR='"$(ROOT)/gen"'
$(BUILD)/obj/kernel/programs.o: $(BPF_PROGRAMS:%=$(ROOT)/gen/%.bpf.o.gz)

$(ROOT)/gen/%.skel.h: $(ROOT)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@

$(ROOT)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define BERTH_VERSION "$(VERSION)"' | cmp -s - $@ || echo '#define BERTH_VERSION "$(VERSION)"' > $@
FORCE:

$(BUILD)/obj/%.o: src/%.c | $(ROOT)/gen/version.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

define archive
$$(BUILD)/$(1).a: $$(call objects,$(1))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach module,$(MODULES),$(eval $(call archive,$(module))))

$(BUILD)/berth: $(call objects,cli) $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/berthd: $(call objects,agent) $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/pic/%.o: src/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -fPIC -MMD -MP -c $< -o $@

$(BUILD)/libberth.so: $(LIB_OBJECTS) src/lib/libberth.map
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(LIB_SONAME) -Wl,--version-script=src/lib/libberth.map -Wl,--no-undefined \
		-o $@ $(LIB_OBJECTS) $(shell pkg-config --libs jansson)

man: $(MAN_PAGES)

$(ROOT)/man/%: docs/man/%.scd
	@mkdir -p $(@D)
	$(Q)scdoc < $< > $@

install: $(BUILD)/berth $(BUILD)/berthd $(BUILD)/libberth.so $(MAN_PAGES)
	install -D -m 755 $(BUILD)/berth $(DESTDIR)$(BINDIR)/berth
	install -D -m 755 $(BUILD)/berthd $(DESTDIR)$(SBINDIR)/berthd
	install -D -m 644 $(BUILD)/libberth.so $(DESTDIR)$(LIBDIR)/$(LIB_SONAME)
	ln -sf $(LIB_SONAME) $(DESTDIR)$(LIBDIR)/libberth.so
	install -D -m 644 include/berth/berth.h $(DESTDIR)$(PREFIX)/include/berth/berth.h
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e '/^#/d' -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' packaging/pkgconfig/berth.pc.in \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/berth.pc
	for page in $(MAN_PAGES); do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; \
	done

# What the lab runs beside Berth itself.
lab: $(BUILD)/lab/pass.bpf.o $(BUILD)/lab/origin

$(BUILD)/lab/%.bpf.o: lab/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/lab/origin: lab/origin.c
	$(call say,CCLD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS) -o $@ $<

# A unit test is its own program: NAME_test.c and what it pulls out of the archives.
$(BUILD)/test/%_test: $(BUILD)/obj/%_test.o $(LIBS)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# Beside a program's sources: the program's archive as well, less its main.
define program_test
$$(BUILD)/test/$(1)/%_test: $$(BUILD)/obj/$(1)/%_test.o $$(BUILD)/$(1).a $$(LIBS)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(LDLIBS) -lcmocka
endef
$(foreach program,cli agent,$(eval $(call program_test,$(program))))

$(BUILD)/test/bpf/%_test: test/bpf/%_test.c $(LIBS) | $(SKELETONS)
	$(call say,CCLD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS) -o $@ $< $(filter-out test/bpf/%_test.c,$(wildcard test/bpf/*.c)) $(LIBS) $(LDLIBS) -lcmocka

# One program for all suites.
bench: $(BUILD)/bench/bench

# The forwarder as a function, for the program that measures it: its one section line is what makes it a program.
$(ROOT)/gen/forwarder_measured.h: src/bpf/forwarder.bpf.c
	@mkdir -p $(@D)
	$(Q)test $$(grep -c '^SEC("xdp")$$' $<) = 1
	$(Q)sed -e 's|^SEC("xdp")$$|static __noinline|' -e '/^char _license/d' $< > $@

$(ROOT)/bpf/forwarder_bench.bpf.o: bench/forwarder/programs.bpf.c $(ROOT)/gen/forwarder_measured.h
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(BPF_CLANG) $(BPF_CFLAGS) -I$(ROOT)/gen -Isrc/bpf -MMD -MP -c $< -o $@

$(BUILD)/bench/obj/%.o: bench/%.c | $(SKELETONS) $(BENCH_SKELETONS)
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

$(BUILD)/bench/bench: $(BENCH_OBJECTS) $(LIBS)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(LDLIBS) -lm

lint:
	$(Q)script/check-includes
	$(Q)script/check-licences
	$(Q)clang-format-14 --dry-run --Werror $(shell git ls-files -co --exclude-standard '*.c' '*.h')
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,portability \
		--suppress=missingIncludeSystem --suppress=missingInclude \
		'-DLIBBPF_OPTS(TYPE,NAME,...)=struct TYPE NAME={__VA_ARGS__}' \
		'-Dbpf_object__for_each_program(POS,OBJ)=while((POS=bpf_object__next_program(OBJ,POS)))' \
		'-Dbpf_object__for_each_map(POS,OBJ)=while((POS=bpf_object__next_map(OBJ,POS)))' $(wildcard src/core src/store src/control src/lib src/kernel src/agent src/cli)

format:
	$(Q)clang-format-14 -i $(shell git ls-files -co --exclude-standard '*.c' '*.h')

# A fuzzer is libFuzzer, NAME_fuzz.c, the core and the control socket's codec, all built with its own compiler.
FUZZ_CFLAGS := -std=c17 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all $(shell pkg-config --cflags $(PKGS))

fuzz: $(FUZZERS)

$(BUILD)/fuzz/obj/%.o: src/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(BUILD)/fuzz/%_fuzz: test/fuzz/%_fuzz.c $(patsubst src/%.c,$(BUILD)/fuzz/obj/%.o,$(call sources,core) $(call sources,control))
	$(call say,CCLD,$@)
	$(Q)$(FUZZ_CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< $(filter %.o,$^) $(LDLIBS)

# Programs that run by themselves on other kernels as well.
$(BUILD)/test/kernels/%: test/kernels/%.c $(LIBS)
	$(call say,CCLD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBS) $(LDLIBS)

clean:
	rm -rf $(ROOT)

-include $(shell find $(ROOT) -name '*.d' 2>/dev/null)
