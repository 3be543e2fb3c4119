"""A choice in words: what the table, the one line and the JSON say."""

from __future__ import annotations

import json

from slurm.cluster.partitions_and_nodes import ExpectedStart
from slurm.cluster.profile import Profile
from slurm.placement.choice import Candidate, Choice
from slurm.placement.choose_partition import choose_partition
from slurm.placement.explain_choice import in_one_line, needs_in_words, table, to_json, why
from tests.slurm.made_cluster import NEEDS, TWO_TYPES, busy_testbed, live, needs, node, partition, profile

BUSY = "gpu:a100:4(IDX:0-3)"


def found(*names: str, start: float | None = None, jobs: int = 1) -> Choice:
    """A choice between a100, busy until ``start`` where that is given, v100, and a partition to be preempted from."""
    text = partition("a100", PriorityTier="9") + partition("v100") + partition("low", PreemptMode="REQUEUE")
    fast = "gpu:a100:0(IDX:N/A)" if start is None else BUSY
    nodes = node("n1", "a100", used=fast) + node("n1", "low", used=fast)
    nodes += node("n2", "v100", gres="gpu:v100:4", used="gpu:v100:2(IDX:0-1)")
    starts = {} if start is None else {("a100", "a100", NEEDS): ExpectedStart(start)}
    return choose_partition(profile(*names, **TWO_TYPES), live(text, nodes, starts=starts), NEEDS, jobs=jobs)


def reasons(choice: Choice) -> dict[str, str]:
    return {candidate.name: why(choice, candidate) for candidate in choice.candidates}


def test_the_line_names_the_winner_and_why_the_others_lost() -> None:
    assert (
        in_one_line(found("v100", "a100"))
        == "a100: starts now, at most 4 h 00 min; v100 lost: slower GPU; 1 more: kd-partitions"
    )


def test_the_line_tells_a_wait_and_jobs_that_must_take_turns() -> None:
    assert in_one_line(found("a100", "v100", start=3600.0)).startswith(
        "a100: starts in 1 h 00 min or later, at most 4 h 00 min;"
    )
    assert in_one_line(found("v100", jobs=5)).startswith("v100: starts now (2 of 5 jobs), at most 10 h 00 min")


def test_reasons_of_those_that_lost() -> None:
    assert reasons(found("a100", "v100"))["v100"] == "slower GPU"
    assert reasons(found("a100", "v100", start=7 * 3600.0))["a100"] == "starts 7 h 00 min later at the earliest"
    assert reasons(found("a100", "low"))["low"] == "as good, but may be preempted; jobs there may be preempted"
    assert reasons(found("v100", "low", start=3600.0))["low"] == (
        "when it would start is not known; jobs there may be preempted"
    )
    assert reasons(found("v100"))["a100"] == "not in the cluster profile's list"


def test_equals_say_why_they_are_named_too() -> None:
    text, nodes = partition("a") + partition("b"), node("n1", "a") + node("n1", "b")
    assert reasons(choose_partition(profile("b", "a"), live(text, nodes), NEEDS)) == {
        "b": "wins",
        "a": "equal: named too, Slurm takes the first to be free",
    }
    alone = profile("b", "a", several_partitions=False)
    assert reasons(choose_partition(alone, live(text, nodes), NEEDS))["a"] == "as good, but stands after b"


def test_fewer_places_are_a_reason_too() -> None:
    text, nodes = partition("a") + partition("b"), node("n1", "a", used="gpu:a100:3(IDX:0-2)") + node("n2", "b")
    assert reasons(choose_partition(profile("a", "b"), live(text, nodes), NEEDS, jobs=2))["a"] == "fewer jobs at a time"


def test_work_that_was_measured_is_about_and_not_at_most() -> None:
    candidate = Candidate(partition="p", start=0.0, work=7200.0, finish=7200.0, slots=1)
    choice = Choice(needs=NEEDS, live=True, measured=True, candidates=(candidate,), winners=1)
    assert in_one_line(choice) == "p: starts now, about 2 h 00 min"


def test_a_cancelling_partition_says_so() -> None:
    candidate = Candidate(partition="p", start=0.0, work=1.0, finish=1.0, slots=1, preempts_to="CANCEL")
    choice = Choice(needs=NEEDS, live=True, candidates=(candidate,), winners=1)
    assert why(choice, candidate) == "wins; jobs there may be preempted (CANCEL)"


def test_the_profiles_own_order_in_words() -> None:
    choice = choose_partition(profile("a", "b", {"name": "short", "max_time": "1h"}), None, NEEDS)
    assert in_one_line(choice) == (
        "a: the first of the cluster profile that fits; b lost: stands after a in the cluster profile; "
        "1 more: kd-partitions"
    )
    assert in_one_line(choose_partition(Profile(), None, NEEDS)) == "the site's default partition"
    assert in_one_line(choose_partition(profile("a", cpu_partition="cpu"), None, needs(gpus=0))) == "cpu: needs no GPU"
    assert (
        in_one_line(choose_partition(profile({"name": "short", "max_time": "1h"}), None, NEEDS)) == "no partition fits"
    )


def test_the_table_of_a_real_cluster() -> None:
    site = profile("a100", "v100", several_partitions=False, **TWO_TYPES)
    expected = """
   partition   GPU   free GPUs  jobs now  start    work               all done    why
1  a100        a100  5 of 8     3         now      at most 4 h 00 min  4 h 00 min  wins
2  v100        v100  0 of 4     0         unknown  at most 10 h 00 min              when it would start is not known
-  markov_gpu                                                          not in the cluster profile's list
-  low                                                                 not in the cluster profile's list
"""
    shown = table(choose_partition(site, busy_testbed(), NEEDS))
    assert [row.split() for row in shown.splitlines()] == [row.split() for row in expected.strip("\n").splitlines()]
    heading, *rows = shown.splitlines()
    assert {row[heading.index("why") - 2 : heading.index("why")] for row in rows} == {"  "}, "columns are aligned"


def test_empty_columns_are_left_out() -> None:
    shown = table(choose_partition(profile("a", "b"), None, NEEDS))
    assert shown.splitlines()[0].split() == ["partition", "why"]


def test_needs_in_words() -> None:
    assert needs_in_words(needs(memory_mb=8192), 1) == "1 × GPU, 4 CPUs, 8G, 10h"
    assert needs_in_words(needs(gpu_type="a100", gpus=2), 5) == "5 jobs, each 2 × a100, 4 CPUs, 8000M, 10h"
    assert needs_in_words(needs(gpus=0), 1).startswith("no GPU, ")


def test_json_holds_the_ranking_and_its_reasons() -> None:
    value = json.loads(json.dumps(to_json(found("a100", "v100"))))
    assert (value["partition"], value["live"], value["needs"]["gpus"]) == ("a100", True, 1)
    assert [(one["partition"], one["wins"], one["why"]) for one in value["candidates"]] == [
        ("a100", True, "wins"),
        ("v100", False, "slower GPU"),
        ("low", False, "not in the cluster profile's list"),
    ]
