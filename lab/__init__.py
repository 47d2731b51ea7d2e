# SPDX-License-Identifier: Apache-2.0
"""Fleets in network namespaces: sites, routers, backbone and internet on one machine. docs/lab.md tells how to use it.

topology   which nodes and links a lab has, and its addresses: data, nothing else
paths      where a lab's namespaces, cgroups, pins and files are; everything carries the lab's name
process    runs programs in a node, and finds them again
network    namespaces, links, addresses, kernel settings
routing    BIRD on routers and servers
origin     what servers on the internet do: nginx, echo, DNS, a record of every source they saw
fleet      the fleet file
node       one node of a running lab, as tests and people use it
running    up and down
command    the command line
demo       what script/demo shows
"""
