"""What two stages' numbers allow to be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from tests.kd.report.builder import RunBuilder, collected

SEEDS = (1, 2, 3, 4, 5)
BASELINE = dict(zip(SEEDS, (0.840, 0.846, 0.838, 0.843, 0.845), strict=True))
BETTER = dict(zip(SEEDS, (0.861, 0.860, 0.858, 0.866, 0.862), strict=True))
SAME = dict(zip(SEEDS, (0.843, 0.841, 0.844, 0.839, 0.847), strict=True))
TEACHER = dict.fromkeys(SEEDS, 0.9)


def pairs(path: Path, distilled: dict[str, dict[int, float]], **changes: Any) -> list[dict[str, Any]]:
    """Collect a run with one baseline and these distilled stages; ``changes`` go to the results of the latter."""
    run = RunBuilder(path).stage("teacher", "teacher", SEEDS, model="resnet18").stage("baseline", "baseline", SEEDS)
    run.finish("teacher", TEACHER).finish("baseline", BASELINE)
    for name, values in distilled.items():
        run.stage(name, "distilled", list(values), teacher="teacher", epochs=changes.get("epochs", 3))
        run.finish(name, values, **changes)
    found: list[dict[str, Any]] = collected([path], path)["cnn"]["comparisons"]
    return found


def test_a_clear_difference_is_called_better_with_its_limits(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": BETTER})
    expected = stats.ttest_rel(list(BETTER.values()), list(BASELINE.values()))
    interval = expected.confidence_interval(0.95)
    assert pair["difference"] == pytest.approx(0.019)
    assert pair["ci95"] == pytest.approx([interval.low, interval.high])
    assert pair["p"]["paired_t"] == pair["p"]["paired_t_holm"] == pytest.approx(expected.pvalue)
    assert pair["p"]["sign_flip"] == pair["p"]["sign_flip_floor"] == 0.0625
    assert pair["gap_closed"] == pytest.approx((0.8614 - 0.8424) / (0.9 - 0.8424))
    assert pair["retention"] == pytest.approx(0.8614 / 0.9)
    assert pair["verdict"].startswith("distilled minus baseline: +1.90 points (95 % interval +1.")
    assert "distilled is better: the interval excludes 0" in pair["verdict"]
    assert pair["verdict"].endswith("cannot go below p = 0.0625 with 5 seeds.")


def test_no_difference_is_not_called_one(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": SAME})
    assert "The interval holds 0: no difference is shown" in pair["verdict"]


def test_a_worse_student_is_called_worse(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": {seed: value - 0.02 for seed, value in SAME.items()}})
    assert "distilled is worse" in pair["verdict"]


def test_several_methods_are_corrected_together(tmp_path: Path) -> None:
    found = pairs(tmp_path / "run", {"distilled": BETTER, "dkd": SAME, "dist": SAME})
    raw = [pair["p"]["paired_t"] for pair in found]
    assert raw[0] < raw[1] == raw[2]
    assert found[0]["p"]["paired_t_holm"] == pytest.approx(3 * raw[0])
    assert found[1]["p"]["paired_t_holm"] == pytest.approx(min(1.0, 2 * raw[1]))
    assert "after Holm over 3 comparisons" in found[0]["verdict"]


def test_what_only_correction_takes_back_is_said_so(tmp_path: Path) -> None:
    slightly = dict(zip(SEEDS, (0.8427, 0.8472, 0.8405, 0.8441, 0.8467), strict=True))
    found = pairs(tmp_path / "run", {f"method{i}": slightly for i in range(16)})
    assert found[0]["p"]["paired_t"] < 0.05
    assert "correcting for several comparisons takes that back" in found[0]["verdict"]


def test_one_seed_gives_a_difference_but_no_claim(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": {3: 0.9}})
    assert pair["ci95"] is None
    assert pair["verdict"].endswith("on the one common seed (3): no interval, so no claim.")
    assert pair["notes"] == ["left out, finished on one side only: seed 1, 2, 4, 5"]


def test_nothing_in_common_is_nothing_to_compare(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"other": {9: 0.9}})
    assert pair["difference"] is None
    assert pair["verdict"] == "No seed finished both other and baseline: nothing to compare."


def test_different_epochs_are_not_ranked(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": BETTER}, epochs=4)
    assert pair["budget_differences"] == ["different epochs: 4 against 3"]
    assert "Not ranked, the two are not like for like: different epochs: 4 against 3." in pair["verdict"]
    assert "better" not in pair["verdict"]


def test_another_split_is_not_ranked(tmp_path: Path) -> None:
    data = {"test": 400, "split_digest": "other"}
    (pair,) = pairs(tmp_path / "run", {"distilled": BETTER}, data=data)
    assert pair["budget_differences"] == ["different train/validation split"]


def test_another_device_is_noted_but_does_not_forbid_ranking(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": BETTER}, device="NVIDIA H200")
    assert pair["budget_differences"] == []
    assert pair["notes"] == ["different devices: NVIDIA H200 against cpu: test"]
    assert "better" in pair["verdict"]


def test_settings_besides_the_loss_are_noted(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("baseline", "baseline", SEEDS, settings={"batch_size": 64})
    run.stage(
        "distilled",
        "distilled",
        SEEDS,
        teacher="baseline",
        settings={"batch_size": 128, "loss": {"kd": {"weight": 1.0, "arguments": {}}}},
    )
    run.finish("baseline", BASELINE).finish("distilled", BETTER)
    (pair,) = collected([run.run.path], tmp_path)["cnn"]["comparisons"]
    assert pair["notes"][-1] == "different settings besides the loss: settings.batch_size"


def test_a_student_meets_the_baseline_of_its_own_model(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("big", "baseline", [1], model="resnet18")
    run.stage("small", "baseline", [1], model="resnet8").stage("kd", "distilled", [1], teacher="big", model="resnet8")
    (pair,) = collected([run.run.path], tmp_path)["cnn"]["comparisons"]
    assert pair["against"] == "small"


def test_equal_differences_are_reported_without_a_t_test(tmp_path: Path) -> None:
    (pair,) = pairs(tmp_path / "run", {"distilled": {seed: value + 0.01 for seed, value in BASELINE.items()}})
    assert pair["p"]["paired_t"] is None
    assert "All seeds differ by the same amount" in pair["verdict"]


def asked(path: Path, comparisons: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Collect a run of a teacher, a baseline, an assisted student and one of equal epochs, with these comparisons."""
    run = RunBuilder(path).stage("teacher", "teacher", SEEDS, epochs=9).stage("baseline", "baseline", SEEDS)
    run.stage("assistant", "assistant", SEEDS, teacher="teacher", epochs=4)
    run.stage("assisted", "distilled", SEEDS, teacher="assistant").stage("longer", "longer", SEEDS, teacher="teacher")
    run.write_plan(comparisons=comparisons)
    run.finish("teacher", TEACHER, epochs=9).finish("baseline", BASELINE).finish("assistant", SAME, epochs=4)
    run.finish("assisted", BETTER).finish("longer", SAME, epochs=7)
    found: list[dict[str, Any]] = collected([path], path)["cnn"]["comparisons"]
    return found


def test_the_pairs_asked_for_replace_the_usual_ones(tmp_path: Path) -> None:
    found = asked(tmp_path / "run", {"assisted": ["longer", "baseline"], "longer": ["baseline"]})
    pairs = [(pair["stage"], pair["against"], pair["p"]["family"]) for pair in found]
    assert pairs == [("assisted", "longer", 3), ("assisted", "baseline", 3), ("longer", "baseline", 3)]
    assert [pair["gap_closed"] is None for pair in found] == [True, False, False], "only a baseline leaves a gap"


def test_where_none_are_asked_for_a_distilled_stage_meets_its_baseline(tmp_path: Path) -> None:
    (pair,) = asked(tmp_path / "run", {})
    assert (pair["stage"], pair["against"]) == ("assisted", "baseline")


def test_epochs_that_are_equal_in_all_are_ranked(tmp_path: Path) -> None:
    (pair,) = asked(tmp_path / "run", {"assisted": ["longer"]})  # 4 + 3 epochs against 7
    assert pair["budget_differences"] == []
    assert "better" in pair["verdict"]


def test_epochs_that_are_equal_by_themselves_are_ranked_with_a_note(tmp_path: Path) -> None:
    (pair,) = asked(tmp_path / "run", {"assisted": ["baseline"]})
    assert pair["budget_differences"] == []
    assert pair["notes"] == ["with all that was trained for them, 7 epochs against 3"]


def test_epochs_that_are_equal_neither_way_are_not_ranked(tmp_path: Path) -> None:
    (pair,) = asked(tmp_path / "run", {"longer": ["baseline"]})
    assert pair["budget_differences"] == ["different epochs: 7 against 3"]
    assert "Not ranked" in pair["verdict"]
