"""Nodes come from what ranks report; group meshes are the designs that tell b from c."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.parallel.placement import HostReport, Placement, cores_of_machines, this_host


def placed(nodes: int, local: int, interleaved: bool = False) -> Placement:
    world = range(nodes * local)
    return Placement(tuple(rank % nodes if interleaved else rank // local for rank in world), one_clock=nodes == 1)


def test_one_host_with_two_networks_is_two_nodes_with_one_clock():
    reports = [HostReport("h", "boot", net, pid) for pid, net in enumerate(("net:1", "net:2", "net:1", "net:2"))]
    placement = Placement.from_reports(reports)
    assert placement == Placement((0, 1, 0, 1), one_clock=True, machine_of=(0, 0, 0, 0))
    assert (placement.nodes, placement.world_size) == (2, 4)


def test_other_kernels_have_other_clocks_and_names_alone_tell_nothing():
    reports = [HostReport("h", f"boot-{kernel}", "net:1", pid) for pid, kernel in enumerate("aba")]
    assert Placement.from_reports(reports) == Placement((0, 1, 0), one_clock=False, machine_of=(0, 1, 0))
    two_names = [HostReport("x", "boot", "net:1", 1), HostReport("y", "boot", "net:1", 2)]
    assert Placement.from_reports(two_names) == Placement((0, 1), one_clock=True, machine_of=(0, 0))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=16))
def test_nodes_are_numbered_as_they_first_appear(hosts):
    """Reference: the index of a host among the hosts in order of first appearance."""
    placement = Placement.from_reports([HostReport(f"h{host}", f"b{host}", "net", i) for i, host in enumerate(hosts)])
    order = sorted(set(hosts), key=hosts.index)
    assert placement.node_of == tuple(order.index(host) for host in hosts)
    assert placement.one_clock == (len(order) == 1)


def test_this_host_is_this_process():
    report = this_host()
    assert report.pid == os.getpid()
    assert report.boot_id and report.node == this_host().node


def test_counts_per_node():
    placement = Placement((0, 0, 1, 0, 2), one_clock=False)
    assert placement.nodes_of([0, 1, 3]) == 1
    assert placement.nodes_of([0, 2, 4]) == 3
    assert placement.ranks_per_node([2, 0, 1, 3]) == [3, 1]


@pytest.mark.parametrize(
    ("ranks", "degrees"),
    [(2, [2]), (3, [2, 3]), (4, [2, 4]), (6, [2, 4, 6]), (8, [2, 4, 8])],
)
def test_groups_on_one_node_are_the_powers_of_two_and_the_world(ranks, degrees):
    meshes = placed(1, ranks).group_meshes()
    assert [mesh.degree("member") for mesh in meshes] == degrees
    assert [mesh.degree("block") for mesh in meshes] == [ranks // degree for degree in degrees]


@pytest.mark.parametrize(("nodes", "local", "interleaved"), list(product([2, 3, 4], [1, 2, 4], [False, True])))
def test_groups_over_nodes_span_k_nodes_with_rho_ranks_each(nodes, local, interleaved):
    placement = placed(nodes, local, interleaved)
    world = list(range(nodes * local))
    found = set()
    meshes = placement.group_meshes()
    for mesh in meshes:
        assert mesh.axes == ("block", "member")
        groups = mesh.groups("member")
        members = [rank for group in groups for rank in group]
        assert len(set(members)) == len(members)
        shapes = {(placement.nodes_of(group), tuple(placement.ranks_per_node(group))) for group in groups}
        assert len(shapes) == 1
        k, per_node = shapes.pop()
        assert len(set(per_node)) == 1
        found.add((k, per_node[0]))
        assert 0 in groups[0]
    powers = [1, 2, 4]
    wanted = {(k, rho) for k in powers for rho in powers if k <= nodes and rho <= local and k * rho > 1}
    assert found == wanted | {(nodes, local)}
    assert len(meshes) == len(found)
    assert any(sorted(group) == world for mesh in meshes for group in mesh.groups("member"))


def test_nodes_of_different_size_are_cut_to_the_smallest_and_the_world_is_added():
    meshes = Placement((0, 0, 0, 1), one_clock=False).group_meshes()
    assert [mesh.groups("member") for mesh in meshes] == [[(0, 3)], [(0, 1, 2, 3)]]


def test_one_rank_has_no_groups():
    assert Placement((0,), one_clock=True).group_meshes() == []


def test_a_machine_has_the_cores_of_all_its_ranks():
    """Open MPI binds each of two ranks to a core of its own: the machine has both."""
    bound = [HostReport(f"h{rank % 2}", f"boot{rank % 2}", "net", rank, [rank]) for rank in range(4)]
    assert cores_of_machines(bound) == [2, 2]
    assert set(this_host().cores) == os.sched_getaffinity(0)


def test_emulated_hosts_share_the_cores_of_their_machine_and_containers_have_quotas():
    hosts = [HostReport("h", "boot", f"net{rank // 2}", rank, [0, 1, 2, 3]) for rank in range(4)]
    assert cores_of_machines(hosts) == [4]
    placement = Placement.from_reports(hosts)
    assert (placement.nodes, placement.most_on_a_machine(range(4)), placement.most_on_a_machine([0, 2])) == (2, 4, 2)
    assert Placement((0, 0, 1), one_clock=False).most_on_a_machine([0, 1, 2]) == 2
    quota = [replace(host, core_limit=1.5) for host in hosts]
    assert cores_of_machines(quota) == [2]  # one for each container
    assert cores_of_machines([replace(quota[0], core_limit=0.5)]) == [1]
