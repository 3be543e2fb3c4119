"""Cluster profiles: those that ship load, faults are placed, and docs/clusters.md explains every key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from kd.errors import ClusterError, SpecError
from kd.jobfile.source import parse_value
from slurm.cluster.profile import JobOptions, Partition, Profile, load_profile, profile_names
from tests.conftest import REPOSITORY


def explained() -> list[tuple[str, str]]:
    """Return key and default of every row of the page's tables."""
    text = (REPOSITORY / "docs" / "clusters.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("model", [Partition, Profile])
def test_every_key_is_explained_with_its_true_default(model: type[BaseModel]) -> None:
    rows = dict(explained())
    for name, field in model.model_fields.items():
        assert name in rows, f"docs/clusters.md does not explain {name}"
        shown: Any = ... if rows[name] == "required" else parse_value(rows[name].strip("`"))
        default = ... if field.is_required() else field.default
        default = default.model_dump(exclude_defaults=True) if isinstance(default, JobOptions) else default
        assert shown == default, f"docs/clusters.md: {name}"


def test_nothing_else_is_explained_and_nothing_twice() -> None:
    keys = [key for key, _ in explained()]
    assert sorted(keys) == sorted([*Partition.model_fields, *Profile.model_fields])


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_loads(name: str) -> None:
    assert load_profile(name)[0] == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu_flg: gres", "1:1: unknown key 'gpu_flg' (did you mean 'gpu_flag'?)"),
        ("partitions: [{name: a, max_tme: 1h}]", "1:24: unknown key 'max_tme' (did you mean 'max_time'?)"),
        ("gpu_speed: {a100: 0}", "1:13: "),
        ("gpu_speed: {a100: .inf}", "1:13: "),
        ("partitions: [{name: a, gpus_per_node: -1}]", "1:24: "),
        ("partitions: [{name: a, memory_per_node: 32}]", "expected an amount of memory such as 32G"),
        ("start_tests: -1", "1:1: "),
        ("gpu_type_as: feature", "1:1: "),
        ("sbatch: {output: x.log}", "1:10: output: 'output' may not be set here: kd keeps the log"),
        ("sbatch: {job_name: x}", "'job_name' may not be set here"),
        ("sbatch: {outp: x.log}", "'outp' may not be set here"),
        ("sbatch: {C: ib}", "options are given by their long names: 'constraint'"),
        ("sbatch: {gres: 'lscratch:10,gpu:2'}", "names GPUs: how many is the job file's"),
        ("partitions: [{name: a, sbatch: {time: 60}}]", "'time' may not be set here"),
        ("cpu_jobs: {acount: x}", "unknown key 'acount' (did you mean 'account'?)"),
    ],
)
def test_faults_are_placed(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as error:
        load_profile(str(file))
    (line,) = error.value.lines
    assert line.startswith(f"{file}:")
    assert message in line


def test_options_of_a_kind_of_job_outrank_the_profile_s_and_those_of_a_partition_both() -> None:
    site = Profile.model_validate(
        {
            "account": "lab",
            "sbatch": {"exclusive": True, "reservation": "course"},
            "gpu_jobs": {"account": "lab-gpu", "qos": "gpu"},
            "cpu_jobs": {"account": "lab-cpu", "sbatch": {"exclusive": False}},
            "partitions": [{"name": "big", "qos": "big", "memory_as": "gpu"}],
        }
    )
    big = site.options(with_gpu=True, partition="big,other")
    assert (big.account, big.qos, big.memory_as) == ("lab-gpu", "big", "gpu")
    cpu = site.options(with_gpu=False, partition="cpu")
    assert (cpu.account, cpu.qos, cpu.sbatch) == ("lab-cpu", None, {"exclusive": False, "reservation": "course"})


def test_an_unknown_name_is_a_cluster_error() -> None:
    with pytest.raises(ClusterError, match="did you mean 'markov'"):
        load_profile("markow")


@pytest.mark.parametrize("option", [{"x\ntouch pwned\n#": 1}, {"x y": 1}, {"constraint": "x\ntouch pwned"}, {"": 1}])
def test_an_sbatch_option_is_one_line(option: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate({"sbatch": option})
