"""What sites do to jobs: options of their own, accounts by kind of job, GPUs that are missing, mixed or untyped.

Each test runs kd's commands as a person does, on a testbed with the ways of such a site (cluster_env/testbed/variants).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.faults.sites import ALL_QUEUED, LATER, SiteTrial, jobs, maker, phases, queue
from tests.testbed import Testbed

pytestmark = pytest.mark.slurm

RULES = "strict,arrays,limits,accounts,gpus,short"
SMALL = REPOSITORY / "tests" / "jobs" / "small.yaml"
OWNED = {
    "output": "x.log",
    "array": "0-3",
    "dependency": "singleton",
    "time": "60",
    "nodes": 2,
    "ntasks": 4,
    "signal": "USR1@10",
    "export": "NONE",
    "job-name": "mine",
    "partition": "cpu",
}


@pytest.fixture
def at_site(site: Testbed, tmp_path: Path) -> SiteTrial:
    """A function that returns a run of chain.yaml at the test's site."""
    return maker(site, tmp_path)


@pytest.fixture
def here(testbed: Testbed, tmp_path: Path) -> SiteTrial:
    """The same on the plain testbed."""
    return maker(testbed, tmp_path)


def test_options_that_kd_computes_are_refused_in_the_profile(here: SiteTrial) -> None:
    lines = here(profile={"sbatch": OWNED}).submit("--dry-run", code=2).splitlines()
    for option in OWNED:
        (line,) = (line for line in lines if f"'{option}'" in line)
        assert "site.yaml:" in line


@pytest.mark.site(RULES)
@pytest.mark.parametrize("gpu_type_as", ["gres", "constraint"])
def test_gres_and_constraints_of_the_profile_stand_beside_the_gpu(at_site: SiteTrial, gpu_type_as: str) -> None:
    own = {**LATER["sbatch"], "gres": "lscratch:100", "constraint": "ib"}
    trial = at_site(profile={"sbatch": own, "gpu_type_as": gpu_type_as, "cpu_partition": "a100"})
    trial.submit("--only", "teacher")
    ((gres, features),) = (line.split("|") for line in queue(trial.testbed, "%b|%f"))
    assert "gpu" in gres
    assert "lscratch" in gres
    assert "ib" in features
    assert ("a100" in gres) if gpu_type_as == "gres" else ("a100" in features)


@pytest.mark.site(RULES)
def test_accounts_differ_between_gpu_and_cpu_jobs(at_site: SiteTrial) -> None:
    partitions = [
        {"name": "gpu_hours", "account": "lab-gpu", "sbatch": {"constraint": "ib"}},
        {"name": "cpu_hours", "account": "lab-cpu"},
    ]
    trial = at_site(profile={**LATER, "partitions": partitions, "cpu_partition": "cpu_hours"})
    trial.submit()
    asked = {tuple(line.split("|")) for line in queue(trial.testbed, "%P|%a|%f")}
    assert asked == {("gpu_hours", "lab-gpu", "ib"), ("cpu_hours", "lab-cpu", "(null)")}


def test_a_job_that_sees_fewer_gpus_than_it_asked_for_fails_in_one_line(here: SiteTrial) -> None:
    trial = here(profile={"require_gpus": True})
    trial.submit("--only", "teacher")
    trial.wait_ended()
    teacher = jobs(trial)["teacher/seed-1"]
    assert teacher["phase"] == "failed"
    assert "asked for 1 GPU" in teacher["why"]
    assert "CUDA_VISIBLE_DEVICES" in teacher["why"]


@pytest.mark.site(RULES)
@pytest.mark.parametrize("name", ["markov_gpu", "a100"])
def test_a_partition_with_gpus_of_several_kinds_is_named_once(at_site: SiteTrial, name: str) -> None:
    trial = at_site(profile={**LATER, "partitions": [{"name": name, "gpu_type": "a100"}]}, job=SMALL)
    trial.submit("--only", "teacher")
    assert queue(trial.testbed, "%P|%b") == [f"{name}|gres:gpu:a100:1"] * 2


@pytest.mark.site(RULES)
def test_gpus_without_a_type_are_kept_apart_from_those_with_one(at_site: SiteTrial) -> None:
    """Only untyped GPUs are free now; when the jobs start, --gres=gpu:1 would be given any of the partition."""
    trial = at_site(profile={**LATER, "partitions": [{"name": "markov_gpu"}]}, job=SMALL)
    for node, gpus in (("gpu1", "gpu:a100:4"), ("gpu3", "gpu:a100:2,gpu:v100:2")):
        trial.testbed.wait_for(trial.testbed.submit("sleep 600", f"--nodelist={node}", f"--gres={gpus}"), "RUNNING")
    trial.submit("--only", "teacher")
    waiting = [int(line.split("|")[0]) for line in queue(trial.testbed, "%A|%T") if line.endswith("|PENDING")]
    assert waiting
    for job in map(trial.testbed.job, waiting):
        assert job["TresPerNode"] != "gres:gpu:1" or job["ExcNodeList"] == "gpu[1,3]" or job["ReqNodeList"] == "gpu2"


@pytest.mark.site(RULES)
def test_the_partition_of_a_result_is_where_the_job_ran(at_site: SiteTrial) -> None:
    partitions = [{"name": "a100", "gpu_type": "a100"}, {"name": "markov_gpu", "gpu_type": "a100"}]
    trial = at_site(profile={"partitions": partitions})
    trial.submit("--only", "teacher")
    trial.wait_ended()
    teacher = jobs(trial)["teacher/seed-1"]
    assert teacher["phase"] == "done"
    assert teacher["partition"] in ("a100", "markov_gpu")


SITES = ("lua", "noaccounting,lua", "limits,short", "clusters", RULES)


@pytest.mark.parametrize("_", [pytest.param(v, marks=pytest.mark.site(v)) for v in SITES])
def test_the_drafted_profile_works_unedited(at_site: SiteTrial, tmp_path: Path, _: str) -> None:
    trial = at_site()
    draft = tmp_path / "drafted.yaml"
    draft.write_text(trial.desk.run("kd-partitions", "--draft-profile"))
    named = {found["name"] for found in yaml.safe_load(draft.read_text())["partitions"]}
    assert named.isdisjoint({"gpu_hours", "theirs"}), "partitions that are closed to the account"
    with draft.open("a") as file:
        file.write("sbatch: {begin: now+1hour}\n")
    place = ("--executor", "slurm", "--cluster", str(draft), "--results", str(trial.results), "--run", trial.name)
    trial.desk.run("kd-submit", str(trial.job), *place)
    assert len(queue(trial.testbed)) == 3
    assert phases(trial) == ALL_QUEUED
