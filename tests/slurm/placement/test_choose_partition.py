"""The choice of a partition: one test for every reason to win, to lose and to be refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from kd.errors import ClusterError
from kd.rundir.stage_spec import spec_from_json
from slurm.cluster.measured_throughput import Measurement, setup_of
from slurm.cluster.partitions_and_nodes import ExpectedStart, LiveState
from slurm.cluster.profile import Profile
from slurm.placement.choice import Candidate, Choice
from slurm.placement.choose_partition import choose_partition
from slurm.placement.job_options import gpu_options
from tests.kd.conftest import make_spec
from tests.slurm.made_cluster import NEEDS, TWO_TYPES, busy_testbed, live, needs, node, partition, profile

A100_FULL = "gpu:a100:4(IDX:0-3)"
TESTBED = profile("a100", "v100", "markov_gpu", **TWO_TYPES)


def two_partitions(*, a100_used: str = "gpu:a100:0(IDX:N/A)", **known: Any) -> LiveState:
    """A node with four a100 in one partition, a node with four v100 in another."""
    nodes = node("n1", "fast", used=a100_used) + node("n2", "slow", gres="gpu:v100:4", used="gpu:v100:0(IDX:N/A)")
    return live(partition("fast") + partition("slow"), nodes, **known)


def started(seconds: float | None, where: str = "fast", gpu_type: str = "a100", **changes: Any) -> dict[str, Any]:
    return {"starts": {(where, gpu_type, needs(**changes)): ExpectedStart(seconds)}}


def refusals(choice: Choice) -> dict[str, str | None]:
    return {candidate.name: candidate.refusal for candidate in choice.candidates}


def one_refusal(profile_: Profile, state: LiveState, **changes: Any) -> str:
    """Return why the only partition of a cluster refuses."""
    (candidate,) = choose_partition(profile_, state, needs(**changes)).candidates
    assert candidate.refusal is not None
    return candidate.refusal


class TestWithoutSlurm:
    def test_the_first_partition_that_fits_wins_and_the_rest_keep_their_order(self) -> None:
        found = choose_partition(profile({"name": "short", "max_time": "1h"}, "long", "other"), None, NEEDS)
        assert found.partition == "long"
        assert [candidate.partition for candidate in found.candidates] == ["long", "other", "short"]
        assert not found.live

    @pytest.mark.parametrize(
        ("limits", "changes", "words"),
        [
            ({"gpu_type": "v100"}, {"gpu_type": "a100"}, "has v100, not a100"),
            ({"max_time": "1h"}, {}, "allows 1h, the stage asks for 10h (lower resources.time)"),
            ({"gpus_per_node": 2}, {"gpus": 4}, "has 2 GPUs a node at most, the stage asks for 4"),
            ({"cpus_per_node": 8}, {"cpus": 9}, "has 8 CPUs a node at most"),
            ({"memory_per_node": "4G"}, {}, "has 4096 MiB a node at most, the stage asks for 8000 MiB"),
        ],
    )
    def test_what_the_profile_declares_is_a_hard_limit(
        self, limits: dict[str, Any], changes: dict[str, Any], words: str
    ) -> None:
        found = choose_partition(profile({"name": "gpu", **limits}), None, needs(**changes))
        assert words in str(refusals(found)["gpu"])
        with pytest.raises(ClusterError, match="no partition fits: gpu: "):
            found.require()

    def test_a_profile_without_partitions_takes_the_sites_default(self) -> None:
        found = choose_partition(Profile(), None, NEEDS)
        assert found.require().partition is None
        assert found.candidates == ()

    @pytest.mark.parametrize("state", [None, busy_testbed()])
    def test_a_job_without_gpus_goes_to_the_cpu_partition(self, state: LiveState | None) -> None:
        assert choose_partition(profile("gpu", cpu_partition="cpu"), state, needs(gpus=0)).partition == "cpu"
        assert choose_partition(profile("gpu"), state, needs(gpus=0)).partition == "gpu"
        assert choose_partition(Profile(), state, needs(gpus=0)).partition is None


class TestWhoWins:
    def test_the_faster_gpu_wins_where_both_start_now(self) -> None:
        found = choose_partition(profile("slow", "fast", **TWO_TYPES), two_partitions(), NEEDS)
        assert found.partition == "fast"
        fast, slow = found.candidates
        assert (fast.start, slow.start) == (0.0, 0.0)
        assert slow.work == NEEDS.minutes * 60, "the time limit is what the slowest type needs"
        assert fast.work == pytest.approx(NEEDS.minutes * 60 / 2.5)

    def test_a_free_slow_gpu_beats_a_fast_one_that_frees_too_late(self) -> None:
        state = two_partitions(a100_used=A100_FULL, **started(7 * 3600))
        assert choose_partition(profile("fast", "slow", **TWO_TYPES), state, NEEDS).partition == "slow"

    def test_a_fast_gpu_that_frees_soon_enough_beats_a_free_slow_one(self) -> None:
        state = two_partitions(a100_used=A100_FULL, **started(5 * 3600))
        found = choose_partition(profile("fast", "slow", **TWO_TYPES), state, NEEDS)
        assert found.partition == "fast"
        assert found.candidates[0].finish == pytest.approx(5 * 3600 + NEEDS.minutes * 60 / 2.5)

    def test_a_start_that_nobody_knows_stands_behind_every_known_one(self) -> None:
        for answer in ({}, started(None)):
            state = two_partitions(a100_used=A100_FULL, **answer)
            found = choose_partition(profile("fast", "slow", **TWO_TYPES), state, NEEDS)
            assert found.partition == "slow"
            assert found.candidates[1].finish is None

    def test_many_jobs_go_where_more_of_them_run_at_once(self) -> None:
        state = two_partitions(a100_used="gpu:a100:3(IDX:0-2)")
        both = profile("fast", "slow", **TWO_TYPES)
        assert choose_partition(both, state, NEEDS, jobs=1).partition == "fast"
        assert choose_partition(both, state, NEEDS, jobs=4).partition == "slow"

    def test_a_profiles_own_limit_of_parallel_jobs_counts(self) -> None:
        found = choose_partition(profile("slow", parallel=2, **TWO_TYPES), two_partitions(), NEEDS, jobs=4)
        assert found.candidates[0].finish == 2 * NEEDS.minutes * 60

    def test_equal_partitions_keep_the_profiles_order(self) -> None:
        text = partition("b") + partition("a")
        state = live(text, node("n1", "a", gres="gpu:2", used="gpu:0") + node("n2", "b", gres="gpu:2", used="gpu:0"))
        assert choose_partition(profile("b", "a"), state, NEEDS).partition == "b"
        assert choose_partition(profile("a", "b"), state, NEEDS).partition == "a"

    def test_what_may_be_preempted_loses_a_tie(self) -> None:
        text = partition("low", PreemptMode="REQUEUE") + partition("high", PriorityTier="9")
        state = live(text, node("n1", "low") + node("n1", "high"))
        found = choose_partition(profile("low", "high"), state, NEEDS)
        assert found.partition == "high", "and the two are no equals"

    def test_without_a_list_in_the_profile_all_partitions_compete_the_default_one_first(self) -> None:
        text = partition("a") + partition("z", Default="YES") + partition("cpu")
        nodes = "".join(node("n1", name) for name in "az") + node("c1", "cpu", gres="(null)", used="gpu:0")
        found = choose_partition(profile(several_partitions=False), live(text, nodes), NEEDS)
        assert found.partition == "z"
        assert refusals(found)["cpu"] == "has no GPUs"

    def test_partitions_that_the_profile_does_not_list_are_shown_but_never_taken(self) -> None:
        found = choose_partition(profile("slow"), two_partitions(), NEEDS)
        assert found.partition == "slow"
        assert refusals(found) == {"slow": None, "fast": "not in the cluster profile's list"}


class TestEquals:
    state = live(partition("a") + partition("b") + partition("c"), "".join(node("n1", name) for name in "abc"))

    def test_partitions_with_the_same_gpus_are_named_together(self) -> None:
        found = choose_partition(profile("b", "a", "c"), self.state, NEEDS)
        assert found.partition == "b,a,c"
        assert found.winners == 3

    def test_not_where_the_site_takes_one_only(self) -> None:
        assert choose_partition(profile("b", "a", several_partitions=False), self.state, NEEDS).partition == "b"

    def test_not_with_other_gpus_of_the_same_speed(self) -> None:
        speeds = {"gpu_speed": {"a100": 1.0, "v100": 1.0}}
        assert choose_partition(profile("fast", "slow", **speeds), two_partitions(), NEEDS).partition == "fast"

    def test_not_where_the_type_is_unknown(self) -> None:
        nodes = "".join(node("n1", name, gres="gpu:4", used="gpu:0") for name in "ab")
        assert choose_partition(profile("a", "b"), live(partition("a") + partition("b"), nodes), NEEDS).partition == "a"

    def test_not_where_one_finishes_much_later(self) -> None:
        nodes = node("n1", "a") + node("n2", "b", used=A100_FULL)
        known = {"starts": {("b", "a100", NEEDS): ExpectedStart(2 * 3600)}}
        state = live(partition("a") + partition("b"), nodes, **known)
        assert choose_partition(profile("b", "a"), state, NEEDS).partition == "a"


class TestHardLimits:
    @pytest.mark.parametrize(
        ("fields", "known", "words"),
        [
            ({"State": "DOWN"}, {}, "is down"),
            ({"State": "DRAIN"}, {}, "takes no new jobs (drain)"),
            ({"State": "INACTIVE"}, {}, "is switched off (inactive)"),
            ({"RootOnly": "YES"}, {}, "only root may use it"),
            ({"MaxTime": "08:00:00"}, {}, "allows 8h, the stage asks for 10h (lower resources.time)"),
            ({"AllowAccounts": "vip"}, {"account": "lab"}, "not open to account lab (set account"),
            ({"DenyAccounts": "lab"}, {"account": "Lab"}, "not open to account Lab"),
            ({"AllowQos": "long"}, {"qos": "normal"}, "not open to qos normal (set qos"),
            ({"AllowGroups": "staff"}, {"groups": frozenset({"users"})}, "open to group staff only"),
            ({"MaxCPUsPerNode": "2"}, {}, "has 2 CPUs a node at most, the stage asks for 4"),
            ({"MaxMemPerNode": "4000"}, {}, "has 4000 MiB a node at most, the stage asks for 8000 MiB"),
        ],
    )
    def test_of_the_partition(self, fields: dict[str, str], known: dict[str, Any], words: str) -> None:
        state = live(partition("p", **fields), node("n1", "p"), **known)
        assert words in one_refusal(profile("p"), state)

    def test_an_account_that_is_not_known_is_given_the_benefit(self) -> None:
        state = live(partition("p", AllowAccounts="vip", AllowQos="long", AllowGroups="staff"), node("n1", "p"))
        assert choose_partition(profile("p"), state, NEEDS).partition == "p"

    @pytest.mark.parametrize(
        ("line", "changes", "words"),
        [
            (
                {"gres": "gpu:a100:2"},
                {"gpus": 3},
                "has 2 GPUs a node at most, the stage asks for 3 (lower resources.gpus)",
            ),
            ({"cpus": "0/2/0/2"}, {}, "has 2 CPUs a node at most, the stage asks for 4 (lower resources.cpus)"),
            ({"memory": (4000, 0)}, {}, "has 4000 MiB a node at most, the stage asks for 8000 MiB"),
            ({"gres": "(null)", "used": "gpu:0"}, {}, "has no GPUs"),
            ({"gres": "gpu:v100:4", "used": "gpu:v100:0"}, {"gpu_type": "a100"}, "has v100, not a100"),
            ({"gres": "gpu:4", "used": "gpu:0"}, {"gpu_type": "a100"}, "Slurm does not tell its GPUs' type in gres"),
            ({"state": "drained"}, {}, "its node is down, drained or silent"),
            ({"state": "idle*"}, {}, "its node is down, drained or silent"),
        ],
    )
    def test_of_its_nodes(self, line: dict[str, Any], changes: dict[str, Any], words: str) -> None:
        assert words in one_refusal(profile("p"), live(partition("p"), node("n1", "p", **line)), **changes)

    def test_gpus_are_counted_by_node_and_not_by_partition(self) -> None:
        state = live(partition("p"), node("n1", "p") + node("n2", "p"))
        assert "has 4 GPUs a node at most" in one_refusal(profile("p"), state, gpus=8)

    def test_no_node_has_all_of_it_together(self) -> None:
        nodes = node("n1", "p", cpus="0/2/0/2") + node("n2", "p", gres="gpu:a100:1", cpus="0/64/0/64")
        assert "together" in one_refusal(profile("p"), live(partition("p"), nodes), gpus=2, cpus=8)

    def test_a_partition_that_slurm_does_not_show(self) -> None:
        assert one_refusal(profile("gone"), live("", "")) == "Slurm shows you no such partition"

    def test_slurms_own_refusal(self) -> None:
        known = {"starts": {("p", "a100", NEEDS): ExpectedStart(None, "Invalid qos specification")}}
        state = live(partition("p"), node("n1", "p", used=A100_FULL), **known)
        assert one_refusal(profile("p"), state) == "Slurm refuses: Invalid qos specification"

    def test_every_reason_is_in_the_error_but_for_partitions_that_are_not_listed(self) -> None:
        found = choose_partition(profile("slow", "gone"), two_partitions(), needs(gpus=8))
        with pytest.raises(ClusterError) as error:
            found.require()
        assert str(error.value) == (
            "no partition fits: slow: has 4 GPUs a node at most, the stage asks for 8 (lower resources.gpus); "
            "gone: Slurm shows you no such partition"
        )


class TestRoomNow:
    def slots(self, *nodes: str, profile_: Profile | None = None, **changes: Any) -> int | None:
        state = live(partition("p"), "".join(nodes))
        (candidate,) = choose_partition(profile_ or profile("p"), state, needs(**changes)).candidates
        return candidate.slots

    def test_counts_jobs_node_by_node(self) -> None:
        assert self.slots(node("n1", "p"), node("n2", "p"), gpus=3) == 2
        assert self.slots(node("n1", "p", used="gpu:a100:2(IDX:0-1)"), gpus=3) == 0

    def test_free_gpus_without_free_cpus_or_memory_are_no_room_and_the_table_says_so(self) -> None:
        assert self.slots(node("n1", "p", cpus="13/3/0/16")) == 0
        assert self.slots(node("n1", "p", memory=(64000, 60000))) == 0
        state = live(partition("p"), node("n1", "p", cpus="13/3/0/16"))
        assert (
            "of its free GPUs (4) no node has enough"
            in choose_partition(profile("p"), state, NEEDS).candidates[0].notes[0]
        )

    def test_what_the_profile_does_not_ask_for_does_not_limit(self) -> None:
        lean = profile("p", omit=["memory", "cpus"])
        assert self.slots(node("n1", "p", cpus="13/3/0/16", memory=(64000, 63999)), profile_=lean) == 4

    @pytest.mark.parametrize("state", ["drained", "down*", "idle*", "planned"])
    def test_gpus_of_nodes_that_are_away_or_promised_are_not_free(self, state: str) -> None:
        nodes = node("n1", "p", state=state), node("n2", "p", used="gpu:a100:3(IDX:0-2)")
        assert self.slots(*nodes) == 1

    def test_shared_out_gpus_are_not_free(self) -> None:
        gres, used = "gpu:v100:2,shard:v100:8", "gpu:v100:0(IDX:N/A),shard:v100:1(IDX:0)"
        assert self.slots(node("n1", "p", gres=gres, used=used)) == 1


class TestGpuTypes:
    mixed = live(
        partition("p"),
        node("n1", "p", features="a100,ib") + node("n2", "p", gres="gpu:v100:4", used="gpu:v100:0", features="v100"),
    )

    def test_a_partition_with_several_types_is_ranked_type_by_type_and_the_winner_is_pinned(self) -> None:
        found = choose_partition(profile("p", **TWO_TYPES), self.mixed, NEEDS)
        assert [candidate.name for candidate in found.candidates] == ["p/a100", "p/v100"]
        assert (found.partition, found.gpu_type) == ("p", "a100")
        assert gpu_options(structs.replace(NEEDS, gpu_type=found.gpu_type), profile("p")) == {"gres": "gpu:a100:1"}

    def test_on_a_site_of_features_the_winner_is_pinned_by_a_constraint(self) -> None:
        site = profile("p", gpu_type_as="constraint")
        found = choose_partition(site, self.mixed, NEEDS)
        assert found.gpu_type == "a100"
        pinned = structs.replace(NEEDS, gpu_type=found.gpu_type)
        assert gpu_options(pinned, site) == {"gres": "gpu:1", "constraint": "a100"}

    def test_features_work_without_types_in_gres(self) -> None:
        nodes = node("n1", "p", gres="gpu:4", used="gpu:0", features="volta,v100") + node(
            "n2", "p", gres="gpu:4", used="gpu:(null):4(IDX:0-3)", features="a100"
        )
        found = choose_partition(
            profile("p", gpu_type_as="constraint"), live(partition("p"), nodes), needs(gpu_type="v100")
        )
        (candidate,) = found.candidates
        assert (candidate.gpu_type, candidate.gpus, candidate.slots) == ("v100", 4, 4)

    def test_a_feature_of_the_profiles_own_can_name_a_type(self) -> None:
        nodes = node("n1", "p", gres="gpu:4", used="gpu:0", features="fastgpu")
        site = profile("p", gpu_type_as="constraint", gpu_speed={"fastgpu": 3.0})
        assert choose_partition(site, live(partition("p"), nodes), NEEDS).candidates[0].gpu_type == "fastgpu"
        state = live(partition("p"), nodes)
        assert one_refusal(site, state, gpu_type="a100") == "has fastgpu, not a100"

    def test_a_single_type_is_not_pinned(self) -> None:
        found = choose_partition(profile("fast", **TWO_TYPES), two_partitions(), NEEDS)
        assert found.candidates[0].gpu_type == "a100"
        assert found.gpu_type is None

    def test_a_type_that_was_asked_for_stays(self) -> None:
        found = choose_partition(profile("p", **TWO_TYPES), self.mixed, needs(gpu_type="v100"))
        assert (found.partition, found.gpu_type) == ("p", "v100")

    def test_where_partitions_tell_the_type_nothing_else_is_said(self) -> None:
        site = profile(
            {"name": "slow", "gpu_type": "v100"}, {"name": "fast", "gpu_type": "a100"}, gpu_type_as="partition"
        )
        nodes = "".join(node(name, name, gres="gpu:4", used="gpu:0") for name in ("fast", "slow"))
        found = choose_partition(site, live(partition("fast") + partition("slow"), nodes), needs(gpu_type="a100"))
        assert found.partition == "fast"
        assert gpu_options(structs.replace(NEEDS, gpu_type=found.gpu_type), site) == {"gres": "gpu:1"}
        assert refusals(found)["slow"] == "has v100, not a100"
        assert "gpu_type" in str(
            refusals(choose_partition(profile("p", gpu_type_as="partition"), None, found.needs))["p"]
        )

    def test_slices_are_taken_only_when_asked_for(self) -> None:
        mig = node("n1", "p", gres="gpu:a100:1,gpu:a100_3g.20gb:2", used="gpu:a100:0,gpu:a100_3g.20gb:0")
        state = live(partition("p"), mig)
        found = choose_partition(profile("p"), state, NEEDS)
        assert (found.partition, found.gpu_type) == ("p", "a100"), "pinned, or Slurm might give a slice"
        assert "MIG" in str(refusals(found)["p/a100_3g.20gb"])
        assert choose_partition(profile("p"), state, needs(gpu_type="a100_3g.20gb")).gpu_type == "a100_3g.20gb"

    def test_an_unknown_type_counts_as_speed_one_and_says_so(self) -> None:
        state = live(partition("p"), node("n1", "p", gres="gpu:mi250:4", used="gpu:mi250:0"))
        (candidate,) = choose_partition(profile("p"), state, NEEDS).candidates
        assert candidate.work == NEEDS.minutes * 60
        assert "speed of mi250 unknown" in candidate.notes[0]


class TestMeasuredSpeeds:
    spec = spec_from_json(make_spec(epochs=100))

    def measured(self, gpu_type: str, images: float, seconds: float) -> Measurement:
        return Measurement(
            gpu_type=gpu_type, setup=setup_of(self.spec) or "", images_per_second=images, seconds_per_epoch=seconds
        )

    def test_what_finished_stages_measured_turns_the_ranking_round(self) -> None:
        history = (self.measured("a100", 1000, 45.0), self.measured("v100", 1500, 30.0))
        found = choose_partition(
            profile("fast", "slow", **TWO_TYPES), two_partitions(history=history), NEEDS, spec=self.spec
        )
        assert found.partition == "slow"
        assert found.measured
        assert [candidate.work for candidate in found.candidates] == pytest.approx([3000, 4500])

    def test_without_a_spec_only_the_speeds_are_corrected(self) -> None:
        history = (self.measured("a100", 1000, 45.0), self.measured("v100", 1500, 30.0))
        found = choose_partition(profile("fast", "slow", **TWO_TYPES), two_partitions(history=history), NEEDS)
        assert (found.partition, found.measured) == ("slow", False)
        assert found.candidates[1].work == pytest.approx(NEEDS.minutes * 60)


def test_a_real_cluster_is_ranked() -> None:
    found = choose_partition(TESTBED, busy_testbed(), NEEDS)
    assert (found.partition, found.gpu_type) == ("a100,markov_gpu", "a100")
    free = {candidate.name: (candidate.free_gpus, candidate.slots) for candidate in found.candidates}
    assert free["a100"] == (5, 3)  # gpu1 has a free GPU, gpu2 has four, but CPUs for two jobs
    assert free["v100"] == (0, 0)
    assert refusals(found)["low"] == "not in the cluster profile's list"


def test_the_choice_is_a_pure_function() -> None:
    state = busy_testbed()
    assert choose_partition(TESTBED, state, NEEDS) == choose_partition(TESTBED, state, NEEDS)


def test_a_candidate_names_its_type_only_where_its_partition_has_others() -> None:
    assert Candidate(partition="p", gpu_type="a100").name == "p"
    assert Candidate(partition="p", gpu_type="a100", pin=True).name == "p/a100"


@pytest.mark.parametrize(
    ("site", "gpu_type", "expected"),
    [
        ({}, None, {"gres": "gpu:2"}),
        ({}, "a100", {"gres": "gpu:a100:2"}),
        ({"gpu_flag": "gpus-per-node"}, "a100", {"gpus-per-node": "a100:2"}),
        ({"gpu_flag": "gpus", "gpu_type_as": "constraint"}, "a100", {"gpus": "2", "constraint": "a100"}),
        ({"gpu_type_as": "partition"}, "a100", {"gres": "gpu:2"}),
    ],
)
def test_gpus_are_asked_for_in_the_sites_form(site: dict[str, Any], gpu_type: str | None, expected: Any) -> None:
    assert gpu_options(needs(gpus=2, gpu_type=gpu_type), profile(**site)) == expected
    assert gpu_options(needs(gpus=0, gpu_type=gpu_type), profile(**site)) == {}


def test_gpus_without_a_type_are_kept_apart_from_those_with_one() -> None:
    """--gres=gpu:1 would be given any GPU of the partition: the nodes with typed ones are ruled out."""
    typed = node("typed", "mixed", gres="gpu:a100:4", used="gpu:a100:4")
    untyped = node("untyped", "mixed", gres="gpu:4", used="gpu:0")
    site = profile({"name": "mixed", "gpu_type": "a100"})
    found = choose_partition(site, live(partition("mixed"), typed + untyped), NEEDS).require()
    assert found.partition == "mixed"
    assert {(candidate.gpu_type, candidate.exclude) for candidate in found.candidates} == {
        ("a100", ()),
        (None, ("typed",)),
    }
    assert (found.gpu_type, found.exclude) == (None, ("typed",)), "free now, and not booked under another node's type"
