"""The testbed is a real Slurm: nodes, GPUs, scratch, accounting, preemption. It stops without a trace."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed import SCRIPTS, Testbed, free_ports, start, wait_until

pytestmark = pytest.mark.slurm


@pytest.fixture
def folder() -> Iterator[Path]:
    """For a testbed of the test's own; tmp_path can be too long for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="kd-") as name:
        yield Path(name)


def scratch_folders(testbed: Testbed, job: int) -> list[Path]:
    return list((testbed.directory / "scratch").glob(f"*/{job}"))


def process_state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "gone"


def test_four_nodes_serve_five_partitions(testbed: Testbed) -> None:
    assert testbed.run("sinfo", "-h", "-N", "-t", "down,drain,unk,no_respond").stdout == ""
    rows = testbed.run("sinfo", "-h", "-N", "-o", "%R %N %G %f").stdout.splitlines()
    places: dict[str, list[str]] = {}
    for row in rows:
        partition, node, _, _ = row.split()
        places.setdefault(partition, []).append(node)
    assert places == {
        "markov_gpu": ["gpu1", "gpu2", "gpu3"],
        "low": ["gpu1", "gpu2", "gpu3"],
        "a100": ["gpu1", "gpu2"],
        "v100": ["gpu3"],
        "cpu": ["cpu1"],
    }
    assert {" ".join(row.split()[1:]) for row in rows} == {
        "gpu1 gpu:a100:4 a100",
        "gpu2 gpu:a100:4 a100",
        "gpu3 gpu:v100:4 v100",
        "cpu1 (null) cpu",
    }


@pytest.mark.parametrize("options", [("--gres=gpu:v100:2",), ("--gres=gpu:2", "--constraint=v100")])
def test_a_job_gets_typed_gpus_and_a_temporary_folder_that_is_gone_afterwards(
    testbed: Testbed, tmp_path: Path, options: tuple[str, ...]
) -> None:
    output = tmp_path / "output"
    body = 'echo "$SLURMD_NODENAME|$CUDA_VISIBLE_DEVICES|$TMPDIR"; touch "$TMPDIR/x" && stat -c %a "$TMPDIR"'
    job = testbed.submit(body, *options, output=output)
    testbed.wait_for(job)
    told, mode = output.read_text().splitlines()
    node, gpus, folder = told.split("|")
    assert node == "gpu3"
    assert len(set(gpus.split(",")) & {"0", "1", "2", "3"}) == 2
    assert folder == str(testbed.directory / "scratch" / "gpu3" / str(job))
    assert mode == "700"
    assert not scratch_folders(testbed, job)
    wait_until(lambda: testbed.sacct_states([job]) == {job: "COMPLETED"}, "accounting to know")


def test_the_modules_of_the_cluster_load_in_a_batch_script(testbed: Testbed, tmp_path: Path) -> None:
    output = tmp_path / "output"
    body = """
        set -e
        module load Python/3.11.3-GCCcore-12.3.0 CUDA/12.1.1
        echo "$EBVERSIONPYTHON $EBVERSIONCUDA"
        command -v python3; echo "$EBROOTPYTHON/bin/python3"
    """
    testbed.wait_for(testbed.submit(body, "--partition=cpu", output=output))
    versions, found, expected = output.read_text().splitlines()
    assert versions == "3.11.3 12.1.1"
    assert found == expected


def test_a_job_of_a_higher_partition_requeues_one_of_low(testbed: Testbed, tmp_path: Path) -> None:
    output = tmp_path / "output"
    body = "trap 'echo warned' USR2; echo started; while :; do sleep 0.2; done"
    whole_node = ("--gres=gpu:v100:4", "--nodes=1")
    low = testbed.submit(body, "--partition=low", "--signal=B:USR2@60", *whole_node, output=output)
    wait_until(lambda: output.exists() and "started" in output.read_text(), "the low job to start")
    high = testbed.submit("true", "--partition=v100", *whole_node)
    testbed.wait_for(high)
    assert "warned" in output.read_text()
    assert testbed.job(low)["Restarts"] == "1"
    history = testbed.run("sacct", "-nXPD", "--format=State", "-j", str(low)).stdout.split()
    assert history[0] == "PREEMPTED"
    testbed.run("scancel", str(low))
    testbed.wait_for(low, "CANCELLED")
    assert not scratch_folders(testbed, low)


def test_a_second_up_changes_nothing(testbed: Testbed) -> None:
    def daemons() -> dict[int, str]:
        wanted = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "munged")
        return {process: name for process, name in testbed.processes().items() if name in wanted}

    before = daemons()
    testbed.up()
    assert sorted(before.values()) == ["mariadbd", "munged", "slurmctld", *["slurmd"] * 4, "slurmdbd"]
    assert daemons() == before


def test_down_ends_jobs_that_ignore_signals_and_leaves_no_process(folder: Path) -> None:
    small = start(folder / "small", free_ports(), variant="noaccounting")
    output = folder / "output"
    try:
        # A child with an empty environment cannot be told by it: it must go with its process group.
        small.submit("trap '' TERM; env -i sleep 5678 & echo $!; srun sleep 5679", output=output)
        wait_until(lambda: "srun" in small.processes().values(), "the step to start")
        child = int(output.read_text())
        assert process_state(child) == "S"
    finally:
        small.stop()
    assert small.processes() == {}
    assert process_state(child) in ("gone", "Z")
    small.stop()


def test_a_job_survives_the_loss_of_its_node_daemon_and_of_the_controller(folder: Path) -> None:
    small = start(folder / "small", free_ports(), variant="noaccounting")
    try:
        job = small.submit("sleep 600", "--nodelist=gpu1", "--gres=gpu:1")
        small.wait_for(job, "RUNNING")
        small.kill_slurmd("gpu1")
        small.start_slurmd("gpu1")
        small.restart_slurmctld()
        assert small.state(job) == "RUNNING"
        small.kill_slurmd("cpu1")
        small.up()
        assert list(small.processes().values()).count("slurmd") == 4
        small.wait_idle("cpu1", "gpu2", "gpu3")
        small.set_node("gpu3", "drain")
        assert small.node("gpu3")["State"] == "IDLE+DRAIN"
    finally:
        small.stop()


def test_a_port_in_use_is_refused_in_one_line(folder: Path) -> None:
    port = free_ports()
    in_one_line = pytest.raises(RuntimeError, match=rf"testbed: port {port + 3} is in use[^\n]*$")
    with socket.create_server(("127.0.0.1", port + 3)), in_one_line:
        start(folder / "small", port)
    assert not (folder / "small").exists()


def test_a_folder_that_is_not_a_testbeds_is_never_emptied(folder: Path) -> None:
    keep = folder / "thesis.txt"
    keep.write_text("precious")
    with pytest.raises(RuntimeError, match=r"not a testbed's[^\n]*$"):
        start(folder, free_ports())
    assert keep.read_text() == "precious"


def test_a_failed_start_leaves_nothing_running(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="slurmctld did not start"):
        start(folder / "small", free_ports(), variant="noaccounting", extra="NodeName=gpu1 Nonsense=1")
    assert Testbed(directory=folder / "small", settings={}).processes() == {}


def test_a_path_too_long_for_sockets_is_refused(folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"too long for Unix sockets[^\n]*$"):
        start(folder / ("x" * 70), free_ports())


def test_env_prints_the_line_that_points_clients_at_it(testbed: Testbed) -> None:
    line = testbed.run("env", f"KD_TESTBED={testbed.directory}", str(SCRIPTS / "env.sh")).stdout
    assert line == f"export SLURM_CONF={testbed.environment['SLURM_CONF']}\n"
