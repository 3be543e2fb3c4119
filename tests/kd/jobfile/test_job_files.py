"""Whole job files: each broken one of tests/specs/broken gives exactly the lines it announces, each good one plans."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kd.errors import run_command
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline

REPOSITORY = Path(__file__).resolve().parents[3]
BROKEN = sorted((REPOSITORY / "tests/specs/broken").glob("*.yaml"))
GOOD = sorted([*(REPOSITORY / "tests/specs/good").glob("*.yaml"), *(REPOSITORY / "jobs").glob("*.yaml")])
ANNOUNCED = b"# expect: "


def announced(path: Path) -> list[str]:
    """Return the faults that a broken file announces in its first lines, each ``line:column: message``."""
    lines = path.read_bytes().splitlines()
    return [line.removeprefix(ANNOUNCED).decode() for line in lines if line.startswith(ANNOUNCED)]


def test_there_are_many_broken_files() -> None:
    assert len(BROKEN) >= 32


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_ends_in_its_announced_lines_and_exit_code_2(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def main() -> int:
        plan_pipeline(load_pipeline(str(path)))
        return 0

    assert run_command(main) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [f"{path}:{fault}" for fault in announced(path)]
    assert announced(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_file_loads_and_plans(path: Path, tiny: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert plan_pipeline(load_pipeline(str(path), tiny=tiny)).jobs


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_job_written_back_as_yaml_is_the_same_job(
    path: Path, tiny: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    job = load_pipeline(str(path), tiny=tiny)
    copy = tmp_path / "job.yaml"
    copy.write_text(yaml.safe_dump(job.model_dump(mode="json", exclude_unset=True), sort_keys=False))
    assert plan_pipeline(load_pipeline(str(copy))) == plan_pipeline(job)


def test_the_labs_optional_feature_distillation_is_there_to_be_uncommented(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    text = (REPOSITORY / "jobs" / "cnn_pipeline.yaml").read_text(encoding="utf-8")
    assert text.count("    # variants: ") == 1
    wider = tmp_path / "wider.yaml"
    wider.write_text(text.replace("    # variants: ", "    variants: "), encoding="utf-8")
    stages = plan_pipeline(load_pipeline(str(wider))).by_stage()
    assert list(stages) == ["teacher", "baseline", "distilled.plain", "distilled.features", "report"]
    plain, features = (stages[f"distilled.{name}"][0].spec.to_json()["settings"] for name in ("plain", "features"))
    extra = features["loss"].pop("fitnet")
    assert features == plain
    assert extra["weight"] > 0
