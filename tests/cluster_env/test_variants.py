"""Every variant of the testbed is what cluster_env/testbed/README.md says, as plain Slurm commands show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import need
from tests.testbed import SCRIPTS, Testbed, free_ports, start, wait_until, wrapped

RULES = "strict,arrays,limits,accounts,gpus,short"
SLEEP = "sleep 600"
QUIET = "--output=/dev/null"  # else into the folder of whoever runs the tests

of_rules = pytest.mark.site(RULES)


def test_the_readme_has_a_row_for_every_variant() -> None:
    rows = [line for line in (SCRIPTS / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    described = {row.split("`")[1] for row in rows}
    assert {folder.name for folder in (SCRIPTS / "variants").iterdir()} <= described


@pytest.mark.site("lua")
def test_lua_rewrites_every_comment(site: Testbed) -> None:
    job = site.submit(SLEEP, "--comment=mine")
    assert site.run("squeue", "-h", "-o", "%k", "-j", str(job)).stdout.strip() == f"billed to user {os.getuid()}"


@pytest.mark.site("noaccounting,lua")
def test_noaccounting_has_no_sacct_and_forgets_what_has_ended(site: Testbed) -> None:
    refused = site.run("sacct", check=False)
    assert refused.returncode == 1
    assert "accounting storage is disabled" in refused.stderr
    job = site.submit("true")
    site.wait_for(job)
    asked = ("scontrol", "show", "job", str(job))
    wait_until(lambda: "Invalid job id" in site.run(*asked, check=False).stderr, "the job to be forgotten")


@pytest.mark.site("clusters")
def test_clusters_are_two_that_one_command_reaches(site: Testbed) -> None:
    there = site.run(
        "env", "SLURM_CLUSTERS=other", "sbatch", "--hold", "--partition=far", f"--wrap={SLEEP}", QUIET
    ).stdout
    number = there.split()[3]
    assert there == f"Submitted batch job {number} on cluster other\n"
    assert "Invalid job id" in site.run("scontrol", "release", number, check=False).stderr
    assert site.run("squeue", "-h", "-o", "%i").stdout == ""
    assert site.run("squeue", "-h", "-M", "testbed,other", "-o", "%i").stdout.split() == [number]
    answer = site.run("sbatch", "--parsable", "-M", "other", f"--wrap={SLEEP}", QUIET).stdout.strip()
    assert answer.endswith(";other")


@of_rules
def test_strict_refuses_at_once_and_requeues_only_on_demand(site: Testbed) -> None:
    refused = site.run("sbatch", "--partition=a100", "--time=2-0", "--wrap=true", check=False)
    assert "Requested time limit is invalid" in refused.stderr
    assert site.job(site.submit(SLEEP))["Requeue"] == "0"
    assert site.job(site.submit(SLEEP, "--requeue"))["Requeue"] == "1"


@of_rules
def test_strict_hides_jobs_from_other_users(site: Testbed) -> None:
    need(os.geteuid() == 0, "only root can become another user")
    job = site.submit(SLEEP)
    queue = ("squeue", "-h", "-o", "%i")
    assert site.run(*queue).stdout.split() == [str(job)]
    _open_to_all(site.directory)
    assert site.run("setpriv", "--reuid=65534", "--clear-groups", *queue).stdout == ""


@of_rules
def test_arrays_end_at_index_four(site: Testbed) -> None:
    assert site.submit(SLEEP, "--array=0-4")
    refused = site.run("sbatch", "--array=0-5", "--wrap=true", check=False)
    assert "Invalid job array specification" in refused.stderr


@of_rules
def test_limits_allow_six_jobs_and_two_gpus(site: Testbed) -> None:
    jobs = [site.submit(SLEEP, "--account=course", "--gres=gpu:2") for _ in range(6)]
    refused = site.run("sbatch", "--account=course", "--wrap=true", check=False)
    assert "QOSMaxSubmitJobPerUserLimit" in refused.stderr
    wait_until(lambda: site.job(jobs[1])["Reason"] == "QOSGrpGRES", "the second job to wait for the first one's GPUs")


@of_rules
@pytest.mark.parametrize(("partition", "account"), [("gpu_hours", "lab-gpu"), ("cpu_hours", "lab-cpu")])
def test_accounts_open_partitions(site: Testbed, partition: str, account: str) -> None:
    assert site.submit("true", f"--partition={partition}", f"--account={account}")
    refused = site.run("sbatch", f"--partition={partition}", "--wrap=true", check=False)
    assert "Invalid account or account/partition combination" in refused.stderr


@of_rules
def test_one_partition_has_gpus_of_several_kinds_and_of_none(site: Testbed) -> None:
    gpus = set(site.run("sinfo", "-h", "-p", "markov_gpu", "-o", "%G").stdout.split())
    assert gpus == {"gpu:a100:4,lscratch:400", "gpu:4", "gpu:a100:2,gpu:v100:2"}
    assert site.job(site.submit(SLEEP, "--gres=gpu:v100:2"))["Partition"] == "markov_gpu"
    site.wait_for(site.submit("true", "--gres=gpu:4", "--nodelist=gpu2"))
    site.wait_for(site.submit("true", "--gres=gpu:a100:1,lscratch:100", "--constraint=ib"))


@of_rules
def test_short_takes_half_an_hour(site: Testbed) -> None:
    assert site.submit("true", "--partition=short", "--time=30")
    refused = site.run("sbatch", "--partition=short", "--time=31", "--wrap=true", check=False)
    assert "Requested time limit is invalid" in refused.stderr


@pytest.mark.parametrize("options", [(), ("--parsable",)])
def test_banner_and_number_answer_in_their_own_words(testbed: Testbed, options: tuple[str, ...]) -> None:
    def said(variant: str) -> list[str]:
        argv = ("env", f"PATH={wrapped(variant)['PATH']}", "sbatch", "--hold", *options, "--wrap=true")
        return testbed.run(*argv).stdout.splitlines()

    assert said("number")[-1].isdigit()
    greeting, checked, answer = said("banner")
    assert greeting.startswith("----")
    assert checked.startswith("Checked job 7 ")
    assert answer.removeprefix("Submitted batch job ").isdigit()


@pytest.mark.parametrize(
    ("variant", "complaint"),
    [
        ("lua,luna", "no variant 'luna'; there are: accounts arrays "),
        ("banner,number", "two of the variants banner,number bring a bin/sbatch"),
        ("noaccounting,limits", "need the database that noaccounting leaves out"),
    ],
)
@pytest.mark.slurm
def test_what_does_not_go_together_is_refused_in_one_line(tmp_path: Path, variant: str, complaint: str) -> None:
    with pytest.raises(RuntimeError, match=rf"testbed: [^\n]*{complaint}[^\n]*$"):
        start(tmp_path / "t", free_ports(), variant=variant)
    assert not (tmp_path / "t").exists()


@pytest.mark.slurm
def test_down_ends_the_second_cluster_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    two = start(tmp_path_factory.mktemp("two") / "t", free_ports(), variant="clusters,number")
    try:
        second = two.clusters[1]
        assert two.run("sbatch", "-M", "other", f"--wrap={SLEEP}", QUIET).stdout.endswith(";other\n")
        assert list(second.processes().values()).count("slurmctld") == 1
    finally:
        two.stop()
    assert two.processes() == {}
    assert second.processes() == {}


def _open_to_all(folder: Path) -> None:
    """Let other users pass through the folders above a testbed, which pytest makes for one alone."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o111)
