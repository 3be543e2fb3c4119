"""Asking Slurm: how many calls, what is asked of sbatch, and what its answers mean."""

from __future__ import annotations

import os

import pytest
from msgspec import structs

from kd.errors import ClusterError
from slurm.cluster.capabilities import Capabilities
from slurm.cluster.partitions_and_nodes import ExpectedStart
from slurm.cluster.profile import load_profile
from slurm.placement.ask_slurm import live_state, read_start
from slurm.placement.choose_partition import choose_partition
from tests.slurm.made_cluster import imitate_testbed, needs, profile
from tests.slurm.made_runs import FakeSlurm, fake_slurm
from tests.testbed import Testbed, wait_until

__all__ = ["fake_slurm"]

NOON = 1795175624.0


@pytest.fixture
def imitated(fake_slurm: FakeSlurm) -> FakeSlurm:
    """The testbed with all v100 and three a100 in use."""
    imitate_testbed(fake_slurm.folder)
    said = "sbatch: Job 13 to start at 9999999999 using 1 processors on nodes gpu3 in partition v100\n"
    fake_slurm.says("sbatch", "", error=said)
    return fake_slurm


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (f"sbatch: Job 13 to start at {NOON + 3600:.0f} using 1 processors on nodes n in partition p", 3600.0),
        (f"sbatch: Job 13 to start at {NOON + 3629:.0f} using 1 processors on nodes n in partition p", 3600.0),
        (f"sbatch: Job 13 to start at {NOON - 5:.0f} using 1 processors on nodes n in partition p", 0.0),
        (
            f"sbatch: Job 7 to start at {NOON + 60:.0f} a using 8 processors on nodes n on cluster c in partition p",
            60.0,
        ),
        ("sbatch: Job 13 to start at Unknown using 1 processors", None),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", None),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", None),
        ("", None),
    ],
)
def test_a_start_is_seconds_from_now_to_the_minute(text: str, seconds: float | None) -> None:
    assert read_start(text, NOON) == ExpectedStart(seconds)


def test_a_start_in_local_time_is_understood() -> None:
    found = read_start("sbatch: Job 11 to start at 2099-11-20T11:33:44 using 1 processors on nodes n", NOON)
    assert found.seconds is not None
    assert found.seconds > 70 * 365 * 24 * 3600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("allocation failure: Invalid qos specification\n", "Invalid qos specification"),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
            "Invalid account or account/partition combination specified",
        ),
    ],
)
def test_a_refusal_is_quoted(text: str, words: str) -> None:
    assert read_start(text, NOON) == ExpectedStart(None, words)


def test_only_busy_partitions_are_asked_about_one_by_one_with_all_that_the_job_asks_for(imitated: FakeSlurm) -> None:
    site = profile("v100", "a100", account="lab", omit=["memory"], sbatch={"reservation": "course"})
    live = live_state(site, [needs()])
    [call] = imitated.calls("sbatch")
    assert call == (
        "sbatch --test-only --partition=v100 --time=600 --nodes=1 --ntasks-per-node=1 "
        "--account=lab --cpus-per-task=4 --gres=gpu:1 --reservation=course"
    )
    assert live.starts["v100", "v100", needs()].seconds is not None
    assert len(imitated.calls("scontrol")) == len(imitated.calls("sinfo")) == 1


def test_a_type_among_others_is_asked_about_by_name(imitated: FakeSlurm) -> None:
    live_state(profile("markov_gpu"), [needs()])
    assert [call.split()[-2:] for call in imitated.calls("sbatch")] == [["--mem=8000M", "--gres=gpu:v100:1"]]


def test_calls_are_limited_by_the_profile_and_needs_take_turns(imitated: FakeSlurm) -> None:
    wanted = [needs(), needs(), needs(minutes=30), needs(gpus=0)]
    site = profile("v100", "markov_gpu")
    assert set(live_state(site, wanted).starts) == {
        (name, "v100", one) for name in ("v100", "markov_gpu") for one in (needs(), needs(minutes=30))
    }
    assert len(imitated.calls("sbatch")) == 4
    few = live_state(site.model_copy(update={"start_tests": 2}), wanted)
    assert {one.minutes for _, _, one in few.starts} == {600, 30}
    assert live_state(site.model_copy(update={"start_tests": 0}), wanted).starts == {}


def test_the_users_defaults_fill_what_the_profile_leaves_open(imitated: FakeSlurm) -> None:
    known = Capabilities(default_account="lab", default_qos="normal")
    live = live_state(profile("a100"), [], known=known)
    assert (live.account, live.qos) == ("lab", "normal")
    live = live_state(profile("a100", account="vip", qos="long"), [], known=known)
    assert (live.account, live.qos) == ("vip", "long")


def test_groups_are_those_of_the_user_and_root_is_kept_out_by_none(
    imitated: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert live_state(profile("a100"), []).groups is None
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [0])
    assert live_state(profile("a100"), []).groups == frozenset({"root"})
    monkeypatch.setattr(os, "getgroups", lambda: [0, 3999999999])
    assert live_state(profile("a100"), []).groups is None


def test_a_controller_that_does_not_answer_is_one_line(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("scontrol", "", error="slurm_load_partitions error:\n Unable to contact\n", code=1)
    with pytest.raises(
        ClusterError, match=r"^scontrol does not answer: slurm_load_partitions error: Unable to contact$"
    ):
        live_state(profile("a100"), [])


@pytest.mark.slurm
def test_on_a_real_slurm_a_busy_a100_loses_short_work_and_wins_long_work(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", testbed.environment["SLURM_CONF"])
    _, site = load_profile("testbed")
    small = needs(cpus=1)
    assert choose_partition(site, live_state(site, [small]), small).candidates[0].gpu_type == "a100"
    whole_node = ("--partition=a100", "--gres=gpu:4", "--mem=100M", "--time=90")
    jobs = [testbed.submit("sleep 600", *whole_node) for _ in range(2)]
    try:
        for job in jobs:
            testbed.wait_for(job, "RUNNING")

        def seen() -> bool:
            return all(not node.free_gpus["a100"] for node in live_state(site, []).partitions["a100"].nodes)

        wait_until(seen, "sinfo to count the GPUs")
        short, long = structs.replace(small, minutes=60), structs.replace(small, minutes=12 * 60)
        live = live_state(site, [short, long])
        quick, patient = choose_partition(site, live, short), choose_partition(site, live, long)
        assert quick.candidates[0].gpu_type == "v100"
        assert quick.candidates[0].start == 0
        assert patient.candidates[0].gpu_type == "a100"
        start = patient.candidates[0].start
        assert start is not None
        assert 80 * 60 < start <= 90 * 60
        assert patient.partition in ("a100,markov_gpu", "markov_gpu,a100")
    finally:
        testbed.run("scancel", *map(str, jobs))
