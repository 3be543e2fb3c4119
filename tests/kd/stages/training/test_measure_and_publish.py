"""What a training measures at its end beyond the metrics, where it is asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kd.conftest import result_of


def test_the_accuracy_under_attack_is_measured_where_it_is_asked_for(run, spec, tmp_path: Path) -> None:
    plain = result_of(run(tmp_path / "plain", spec(epochs=2)))
    result = result_of(run(tmp_path / "attacked", spec(epochs=2, attack={"epsilon": 0.1, "steps": 3})))
    assert "robustness" not in plain
    assert result["test"] == plain["test"]
    found = result["robustness"]
    assert set(found) == {"fgsm", "pgd"}
    assert all(0 <= attacked["accuracy"] <= result["test"]["best"]["accuracy"] for attacked in found.values())
    assert found["pgd"]["epsilon"] == pytest.approx(0.1)
    assert (found["fgsm"]["steps"], found["pgd"]["steps"]) == (1, 3)
