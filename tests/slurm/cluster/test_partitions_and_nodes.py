"""scontrol's and sinfo's answers read into partitions and nodes; the texts in said/ are what Slurm 22.05.8 printed."""

from __future__ import annotations

import pytest

from slurm.cluster.partitions_and_nodes import limit_minutes, parse_partitions
from tests.slurm.made_cluster import busy_testbed, node, partition
from tests.slurm.made_runs import SAID


def test_every_partition_and_node_of_a_real_cluster_is_read() -> None:
    found = busy_testbed().partitions
    assert {name: [node.name for node in part.nodes] for name, part in found.items()} == {
        "markov_gpu": ["gpu1", "gpu2", "gpu3"],
        "a100": ["gpu1", "gpu2"],
        "v100": ["gpu3"],
        "low": ["gpu1", "gpu2", "gpu3"],
        "cpu": ["cpu1"],
    }
    assert [name for name, part in found.items() if part.default] == ["markov_gpu"]
    assert [found[name].max_minutes for name in ("markov_gpu", "a100")] == [2880, 1440]
    gpu1, gpu2 = found["a100"].nodes
    assert (gpu1.gpus, gpu1.free_gpus, gpu1.free_cpus, gpu1.free_memory_mb) == ({"a100": 4}, {"a100": 1}, 6, 19900)
    assert (gpu2.free_gpus, gpu2.features, gpu2.cpus) == ({"a100": 4}, ("a100",), 8)
    assert found["v100"].nodes[0].free_gpus == {"v100": 0}


def test_a_drained_node_of_a_real_cluster_is_not_usable() -> None:
    found = busy_testbed().partitions
    assert not found["cpu"].nodes[0].usable
    assert all(node.usable for node in found["low"].nodes)


def test_only_a_partition_below_others_on_the_same_nodes_is_preemptible() -> None:
    found = busy_testbed().partitions
    assert {name for name, part in found.items() if part.preempts_to is not None} == {"low"}


def test_without_tiers_no_partition_is_preemptible_whatever_the_mode() -> None:
    text = partition("a", PreemptMode="REQUEUE") + partition("b", PreemptMode="REQUEUE")
    found = parse_partitions(text, node("n1", "a") + node("n1", "b"))
    assert [part.preempts_to for part in found.values()] == [None, None]


@pytest.mark.parametrize("state", ["idle", "mixed", "allocated", "completing", "planned", "idle~", "mixed#", "mixed-"])
def test_nodes_that_take_jobs_are_usable(state: str) -> None:
    (found,) = parse_partitions(partition("p"), node("n1", "p", state=state))["p"].nodes
    assert found.usable


@pytest.mark.parametrize(
    "state",
    [
        *("down", "down*", "drained", "draining", "drained*", "idle*", "mixed*", "idle$", "mixed@", "idle^", "unknown"),
        *("inval", "maint", "reserved", "future", "fail", "failing", "powered_down", "reboot^", "idle!", "idle%"),
    ],
)
def test_nodes_that_are_away_are_not_usable(state: str) -> None:
    (found,) = parse_partitions(partition("p"), node("n1", "p", state=state))["p"].nodes
    assert not found.usable


@pytest.mark.parametrize(
    ("state", "promised"), [("planned", True), ("mixed-", True), ("mixed", False), ("idle~", False)]
)
def test_what_waits_for_a_larger_job_is_promised(state: str, promised: bool) -> None:
    (found,) = parse_partitions(partition("p"), node("n1", "p", state=state))["p"].nodes
    assert found.promised is promised


def test_who_may_use_a_partition_is_read() -> None:
    text = partition("p", AllowAccounts="Lab,vip", AllowQos="long", AllowGroups="staff") + partition("q")
    text += "PartitionName=r AllowGroups=ALL DenyAccounts=guests DenyQos=short State=UP\n"
    found = parse_partitions(text, "")
    assert found["p"].accounts.admits("lab")
    assert not found["p"].accounts.admits("guests")
    assert not found["p"].qos.admits("normal")
    assert not found["p"].groups.admits("students")
    assert found["q"].accounts.admits("anybody")
    assert not found["r"].accounts.admits("guests")
    assert found["r"].accounts.admits("lab")
    assert not found["r"].qos.admits("short")


def test_limits_of_a_node_are_read_and_unlimited_is_none() -> None:
    text = partition("p", MaxCPUsPerNode="8", MaxMemPerNode="32000", MaxTime="UNLIMITED")
    part = parse_partitions(text, "")["p"]
    assert (part.max_cpus_per_node, part.max_memory_mb, part.max_minutes) == (8, 32000, None)
    part = parse_partitions(partition("p", MaxCPUsPerNode="UNLIMITED", MaxMemPerNode="UNLIMITED"), "")["p"]
    assert (part.max_cpus_per_node, part.max_memory_mb) == (None, None)


def test_features_lists_and_nodes_without_any_are_read() -> None:
    lines = node("n1", "p", features="a100,ib,nvme") + node("n2", "p", features="(null)")
    first, second = parse_partitions(partition("p"), lines)["p"].nodes
    assert first.features == ("a100", "ib", "nvme")
    assert second.features == ()


def test_lines_that_are_no_answer_are_passed_over() -> None:
    assert parse_partitions("scontrol is tired\n\n", "sinfo: error\n") == {}
    text = (SAID / "scontrol_partitions.txt").read_text()
    assert all(part.nodes == () for part in parse_partitions(text, "slurm_load_node error\n").values())


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("00:30:00", 30), ("2-00:00:00", 2880), ("01:00:30", 61), ("UNLIMITED", None), ("NONE", None), ("", None)],
)
def test_time_limits_are_minutes(text: str, minutes: int | None) -> None:
    assert limit_minutes(text) == minutes
