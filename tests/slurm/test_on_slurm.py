"""Runs on a real Slurm: the graph, the transaction, and what is seen when a job fails or a submission breaks off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey
from kd.rundir.journal import Journal
from tests.conftest import REPOSITORY
from tests.slurm.launching import STAGES, Desk, wait_until, weights
from tests.testbed import Testbed

pytestmark = pytest.mark.slurm
CLUSTER = ("--executor", "slurm", "--cluster", "testbed")


@pytest.fixture
def desk(testbed: Testbed, tmp_path: Path) -> Desk:
    return Desk(results=tmp_path, environment=testbed.environment)


def queued(testbed: Testbed, name: str) -> list[str]:
    """Return the ids of the run's jobs that squeue still lists as waiting or running."""
    lines = testbed.run("squeue", "--noheader", "--array", "--format=%i %j").stdout.splitlines()
    return [line.split()[0] for line in lines if line.split()[1].startswith(f"{name}.")]


def wait_ended(testbed: Testbed, name: str) -> None:
    wait_until(lambda: not queued(testbed, name), f"the jobs of {name} to end", seconds=600)


def accounting(testbed: Testbed, desk: Desk, name: str) -> dict[str, dict[str, str]]:
    """Return sacct's row of every job of a run, by the job's name in the journal."""
    ids = {str(key): found.job_id for key, found in Journal(desk.folder(name).journal).submissions().items()}
    columns = ("JobID", "State", "Start", "End")

    def rows() -> dict[str, dict[str, str]]:
        answer = testbed.run("sacct", "-X", "-n", "-P", "-o", ",".join(columns), "-j", ",".join(ids.values()))
        found = [dict(zip(columns, line.split("|"), strict=True)) for line in answer.stdout.splitlines()]
        return {row["JobID"]: row for row in found}

    # the database hears of a job, and of its end, a little after squeue does
    def caught_up() -> bool:
        return all(rows().get(job_id, {}).get("End", "Unknown") != "Unknown" for job_id in ids.values())

    wait_until(caught_up, "sacct to catch up")
    return {key: rows()[job_id] for key, job_id in ids.items()}


def test_cnn_pipeline_on_real_images_from_teachers_to_the_report(
    testbed: Testbed, tmp_path: Path, data_root: Path
) -> None:
    """The lab's own job file on CIFAR-10's images, made small by ``--set``."""
    desk = Desk(results=tmp_path, environment={**testbed.environment, "KD_DATA": str(data_root)})
    small = {"data.root": "${KD_DATA}/cifar10_images.tar.gz", "data.train_subset": 192, "data.test_subset": 64}
    small |= {"data.validation": 64, "resources": "{gpus: 1, cpus: 1, memory: 1G, time: 20m}"}
    for stage in STAGES:
        small |= {f"stages.{stage}.epochs": 1, f"stages.{stage}.schedule": "constant"}
        small |= {f"stages.{stage}.batch_size": 64, f"stages.{stage}.resources": "{time: 20m}"}
    options = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]

    desk.submit(*CLUSTER, "--seeds", "1,2", *options, job=REPOSITORY / "jobs" / "cnn_pipeline.yaml")
    wait_ended(testbed, "cnn_pipeline")

    rows = accounting(testbed, desk, "cnn_pipeline")
    assert {name: row["State"] for name, row in rows.items()} == dict.fromkeys(rows, "COMPLETED")
    assert len(rows) == 7
    for seed in (1, 2):
        assert rows[f"teacher/seed-{seed}"]["End"] <= rows[f"distilled/seed-{seed}"]["Start"]
    assert max(row["End"] for name, row in rows.items() if name != "report") <= rows["report"]["Start"]
    report = desk.report("cnn_pipeline")
    assert report["missing"] == []
    assert report["seeds"] == [1, 2]
    numbers = list(report.items())[:3]
    assert [name for name, _ in numbers] == [
        "teacher_accuracy",
        "student_accuracy_without_kd",
        "student_accuracy_with_kd",
    ]
    assert all(0 < value < 1 for _, value in numbers)
    result = read_object(desk.folder("cnn_pipeline").stage(JobKey("teacher", 1)).result)
    assert result is not None
    archive = (data_root / "cifar10_images.tar.gz").stat().st_size
    assert result["job"]["staging"]["bytes_in"] >= archive, "the images went through the job's scratch folder"


def test_a_student_of_an_rgb_and_infrared_teacher_ends_as_small_files(testbed: Testbed, desk: Desk) -> None:
    """The job file of Swin-T, tiny: teacher, student, pruned and exported, in the layout that scripts read."""
    options = ("--tiny", "--seeds", "42", "--set", "resources={gpus: 1, cpus: 1, time: 20m}")
    desk.submit(*CLUSTER, *options, job=REPOSITORY / "jobs" / "multimodal_swin_t.yaml")
    wait_ended(testbed, "multimodal_swin_t-tiny")

    run = desk.folder("multimodal_swin_t-tiny")
    assert desk.report(run.name)["missing"] == []
    results = run.report / "metrics" / "multimodal_swin_t" / "teacher" / "aggregated_results.json"
    data = json.loads(results.read_text())
    assert data["stages"] == {
        "teacher": "teacher",
        "student": "distilled",
        "student_without_kd": "baseline",
        "student_pruned": "pruned",
        "student_quantized": "student_int8",
    }
    size = {key: data[key]["model_size_mb"]["mean"] for key in data["stages"]}
    assert size["student_quantized"] < 0.3 * size["student"] < size["student"] < size["teacher"]
    assert data["student_pruned"]["parameters"]["mean"] < 0.5 * data["student"]["parameters"]["mean"]


def test_what_runs_is_what_the_dry_run_showed(testbed: Testbed, desk: Desk) -> None:
    shown = json.loads(desk.submit(*CLUSTER, "--dry-run", "--json"))
    desk.submit(*CLUSTER)
    ids = {f"<{request['request']}>": "" for request in shown["requests"]}
    run = desk.folder()
    for key, found in Journal(run.journal).submissions().items():
        ids[f"<{key.stage}>"] = found.job_id.partition("_")[0]
    for request in shown["requests"]:
        text = request["script"]
        for symbol, job_id in ids.items():
            text = text.replace(symbol, job_id)
        text = text.replace(f"'{_dependency(text)}'", _dependency(text))  # a symbol needs quotes, a number does not
        sent = run.submitted(request["request"]) / f"{ids['<' + request['request'] + '>']}_submission.sh"
        assert sent.read_text() == text
    desk.run("kd-cancel", "small")
    wait_ended(testbed, "small")


def _dependency(text: str) -> str:
    lines = [line for line in text.splitlines() if "--dependency=" in line]
    return lines[0].partition("=")[2].strip("'") if lines else "none"


def test_a_failing_seed_stops_its_own_descendants_only_and_is_explained(testbed: Testbed, desk: Desk) -> None:
    broken = desk.folder().stage(JobKey("teacher", 2)).checkpoint
    broken.parent.mkdir(parents=True)
    broken.write_text("a file where a folder must be")

    desk.submit(*CLUSTER)
    wait_ended(testbed, "small")

    states = {name: row["State"].split()[0] for name, row in accounting(testbed, desk, "small").items()}
    assert states["teacher/seed-2"] == "FAILED"
    assert states["distilled/seed-2"] == "CANCELLED"
    untouched = ("teacher/seed-1", "distilled/seed-1", "baseline/seed-1", "baseline/seed-2", "report")
    assert {name: states[name] for name in untouched} == dict.fromkeys(untouched, "COMPLETED")
    missing = {(hole["stage"], hole["seed"]): hole["reason"] for hole in desk.report()["missing"]}
    assert set(missing) == {("teacher", 2), ("distilled", 2)}
    why = {(job["stage"], job["seed"]): job["why"] for job in desk.status(code=1)}
    assert "teacher seed 2" in why["distilled", 2]

    broken.unlink()
    said = desk.submit(*CLUSTER)
    assert "submitted teacher/seed-1" not in said
    assert "submitted teacher/seed-2" in said
    wait_ended(testbed, "small")
    assert desk.report()["missing"] == []
    assert len(weights(desk.folder())) == 6


def test_a_refused_request_rolls_everything_back(testbed: Testbed, desk: Desk) -> None:
    profile = desk.results / "site.yaml"
    profile.write_text(
        "partitions: [{name: a100}]\ncpu_partition: no_such_partition\nomit: [memory]\nrequire_gpus: false\n"
    )
    said = desk.submit("--executor", "slurm", "--cluster", str(profile), code=2)
    assert "sbatch refused stage 'report'" in said
    assert "invalid partition" in said.lower()
    assert queued(testbed, "small") == []
    assert Journal(desk.folder().journal).submissions() == {}

    desk.submit(*CLUSTER)
    wait_ended(testbed, "small")
    assert desk.report()["missing"] == []


def test_submitting_again_while_jobs_wait_and_run_doubles_nothing(testbed: Testbed, desk: Desk) -> None:
    desk.submit(*CLUSTER)
    before = set(queued(testbed, "small"))
    said = desk.submit(*CLUSTER)
    assert "waiting or running already" in said or "done already" in said
    assert "submitted" not in said
    assert set(queued(testbed, "small")) <= before
    wait_ended(testbed, "small")
    assert desk.report()["missing"] == []


def test_cancelling_and_submitting_again_completes_the_run(testbed: Testbed, desk: Desk) -> None:
    desk.submit(*CLUSTER, "--set", "stages.teacher.epochs=500")
    wait_until(desk.folder().stage(JobKey("teacher", 1)).progress.is_file, "a heartbeat")
    said = desk.run("kd-cancel", "small", "teacher")
    assert "cancelled teacher/seed-1 (running" in said
    assert "cancelled distilled/seed-1 (queued" in said
    assert "baseline" not in said
    desk.submit(*CLUSTER, "--set", "stages.teacher.epochs=500")
    wait_ended(testbed, "small")
    assert desk.report()["missing"] == []


def test_the_shells_sbatch_variables_do_not_leak_in(testbed: Testbed, desk: Desk) -> None:
    foreign = {"SBATCH_PARTITION": "v100", "SBATCH_TIMELIMIT": "1", "SLURM_JOB_ID": "1", "SBATCH_ACCOUNT": "nobody"}
    person = Desk(results=desk.results, environment={**desk.environment, **foreign})
    person.submit(*CLUSTER, "--only", "baseline")
    wait_ended(testbed, "small")
    rows = accounting(testbed, desk, "small")
    assert {row["State"] for row in rows.values()} == {"COMPLETED"}
    answer = testbed.run("sacct", "-X", "-n", "-P", "-o", "Partition", "-j", rows["baseline/seed-1"]["JobID"])
    assert answer.stdout.strip() == "a100"


def test_again_does_not_pull_the_folder_from_under_a_running_job(testbed: Testbed, desk: Desk) -> None:
    long = ("--only", "teacher", "--seeds", "1", "--set", "stages.teacher.epochs=500")
    desk.submit(*CLUSTER, *long)
    wait_until(desk.folder().stage(JobKey("teacher", 1)).progress.is_file, "a heartbeat")
    said = desk.submit(*CLUSTER, *long, "--again", code=2)
    assert "--again: teacher/seed-1 still wait or run; kd-cancel small first" in said
    desk.run("kd-cancel", "small")
    wait_ended(testbed, "small")


def test_check_asks_slurm_about_every_script(testbed: Testbed, desk: Desk) -> None:
    said = desk.submit(*CLUSTER, "--check")
    assert [line.split(":")[0] for line in said.splitlines()] == ["teacher", "baseline", "distilled", "report"]
    assert said.count("to start at") == 4
    assert not desk.folder().path.exists()
    refused = desk.submit(*CLUSTER, "--check", "--set", "resources.gpus=7", code=2)
    assert "7" in refused or "not available" in refused
