"""Limits of a site: what breaks them is found before anything is sent, and each message names the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd.rundir.folders import RunFolder
from slurm.cluster.capabilities import Capabilities
from slurm.cluster.partitions_and_nodes import LiveState
from slurm.cluster.profile import Profile
from slurm.submission.request import Request, build_requests
from slurm.submission.site_limits import check_limits, largest_array, time_warnings, within_capabilities
from tests.slurm.made_cluster import live, node, partition, profile
from tests.slurm.submission.test_request import plan

SITE = profile("gpu", cpu_partition="cpu")
PARTITIONS = partition("gpu", MaxTime="2-00:00:00", Default="YES") + partition("cpu", MaxTime="00:20:00")


def requests(seeds: int = 3, site: Profile = SITE, state: LiveState | None = None, **resources: Any) -> list[Request]:
    return build_requests(plan(seeds, **resources), RunFolder(Path("/runs/r")), site, live=state)


def test_what_fits_has_no_message() -> None:
    known = Capabilities(max_array_size=1001, max_job_count=10000, max_submit=7, max_minutes=1440)
    assert check_limits(requests(), known, live(partition("gpu") + partition("cpu"), "")) == []
    assert check_limits(requests(), Capabilities()) == []


def test_an_array_larger_than_the_cluster_takes() -> None:
    assert check_limits(requests(seeds=5), Capabilities(max_array_size=5)) == [
        f"{stage}: an array of 5 jobs, where this cluster takes 4 (MaxArraySize): "
        "set max_array: 4 in the cluster profile"
        for stage in ("teacher", "student")
    ]


@pytest.mark.parametrize(("size", "largest"), [(1001, 100), (51, 50), (1, 1), (0, 1), (None, 100)])
def test_the_profile_is_brought_to_the_clusters_array_size(size: int | None, largest: int) -> None:
    known = Capabilities(max_array_size=size, accounting=True)
    site = within_capabilities(profile("gpu", max_array=100), known)
    assert site.max_array == largest
    assert check_limits(requests(seeds=120, site=site), known) == []


def test_the_size_of_arrays_may_be_unknown() -> None:
    assert largest_array(Capabilities()) is None


@pytest.mark.parametrize(
    ("declared", "found", "expected"), [(True, False, False), (False, True, False), (True, True, True)]
)
def test_sacct_is_asked_only_where_there_is_accounting(declared: bool, found: bool, expected: bool) -> None:
    site = within_capabilities(Profile(accounting=declared), Capabilities(accounting=found))
    assert site.accounting is expected


def test_more_jobs_than_one_may_submit() -> None:
    known = Capabilities(max_submit=6, max_submit_of="QOS normal")
    assert check_limits(requests(), known) == [
        "7 jobs: QOS normal allows 6 (MaxSubmitJobs): "
        "submit fewer at a time with --seeds or --only, and the rest when these have ended"
    ]
    (message,) = check_limits(requests(), Capabilities(max_submit=9, max_submit_of="account lab"), queued=3)
    assert message.startswith("7 jobs beside 3 in the queue: account lab allows 9")
    assert check_limits(requests(), Capabilities(max_submit=10), queued=3) == []


def test_more_jobs_than_the_cluster_holds() -> None:
    (message,) = check_limits(requests(), Capabilities(max_job_count=6))
    assert message.startswith("7 jobs: this cluster holds 6 of all users (MaxJobCount): submit fewer")


def test_more_time_than_a_qos_allows() -> None:
    known = Capabilities(max_minutes=60, max_minutes_of="QOS short")
    assert check_limits(requests(time="2h"), known) == [
        f"{stage}: asks for 2h, QOS short allows 1h: lower stages.{stage}.resources.time to 1h"
        for stage in ("teacher", "student")
    ]


def test_more_time_than_a_partition_allows_for_the_report_too() -> None:
    (message,) = check_limits(requests(time="2h"), Capabilities(), live(PARTITIONS, ""))
    assert message == "report: asks for 30m, partition cpu allows 20m: lower stages.report.resources.time to 20m"


def test_without_a_partition_the_sites_default_counts() -> None:
    text = partition("gpu", MaxTime="01:00:00", Default="YES") + partition("other", MaxTime="00:01:00")
    found = check_limits(requests(site=Profile(), time="2h"), Capabilities(), live(text, ""))
    assert [message.split(":")[0] for message in found] == ["teacher", "student"]


def test_a_split_stage_is_named_once() -> None:
    site = profile("gpu", max_array=2)
    known = Capabilities(max_minutes=60, max_minutes_of="QOS short")
    assert len(check_limits(requests(seeds=5, site=site, time="2h"), known)) == 2


def test_the_live_state_reaches_the_requests() -> None:
    text = partition("a") + partition("b")
    nodes = node("n1", "a", gres="gpu:v100:4", used="gpu:v100:0") + node("n2", "b")
    state = live(text, nodes + node("n3", "b", gres="gpu:v100:4", used="gpu:v100:0"))
    teacher, student, report = requests(site=profile("a", "b", cpu_partition="cpu"), state=state, cpus=2, memory="8G")
    assert teacher.choice.live
    assert teacher.parameters["partition"] == student.parameters["partition"] == "b"
    assert teacher.parameters["gres"] == "gpu:a100:1", "b has two types: the faster one is pinned"
    assert report.parameters["partition"] == "cpu"


def test_a_limit_that_leaves_little_before_the_signal_is_told_of() -> None:
    first = requests()[:1]
    minutes = first[0].jobs[0].needs.minutes
    assert list(time_warnings(first, minutes * 30)) == []
    (warning,) = time_warnings(first, minutes * 60 - 30)
    assert "each start has 30 s; raise resources.time or lower signal_seconds" in warning
