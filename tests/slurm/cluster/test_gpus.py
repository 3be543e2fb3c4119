"""Gres text in the forms that sites print, names of GPUs, and their rough speeds."""

from __future__ import annotations

import pytest

from slurm.cluster.gpus import ROUGH_SPEED, count_gpus, family, free_gpus, is_slice, speed_of

MIG = "gpu:a100:2,gpu:a100_3g.20gb:2,gpu:a100_1g.5gb:1"
MIG_USED = "gpu:a100:1(IDX:0),gpu:a100_3g.20gb:1(IDX:2),gpu:a100_1g.5gb:0(IDX:N/A),shard:0"


@pytest.mark.parametrize(
    ("gres", "expected"),
    [
        ("gpu:a100:4", {"a100": 4}),
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:4(S:0,1)", {"": 4}),
        ("gpu:1080ti:2,gpu:2080:1", {"1080ti": 2, "2080": 1}),
        ("lscratch:800,gpu:nvidia_a100-sxm4-80gb:8,nvme:1", {"nvidia_a100-sxm4-80gb": 8}),
        (MIG, {"a100": 2, "a100_3g.20gb": 2, "a100_1g.5gb": 1}),
        ("gpu:v100:4,shard:v100:16", {"v100": 4}),
        ("(null)", {}),
        ("", {}),
    ],
)
def test_gpus_are_counted_by_type(gres: str, expected: dict[str, int]) -> None:
    assert count_gpus(gres) == expected


@pytest.mark.parametrize(
    ("gres", "used", "expected"),
    [
        ("gpu:a100:4", "gpu:a100:0(IDX:N/A)", {"a100": 4}),
        ("gpu:a100:4", "gpu:a100:3(IDX:0-1,3)", {"a100": 1}),
        ("gpu:4", "gpu:(null):1(IDX:0)", {"": 3}),
        (MIG, MIG_USED, {"a100": 1, "a100_3g.20gb": 1, "a100_1g.5gb": 1}),
        ("gpu:v100:4,shard:v100:16", "gpu:v100:1(IDX:2),shard:v100:2(IDX:0-1)", {"v100": 1}),
        ("gpu:v100:4,shard:v100:16", "gpu:v100:0(IDX:N/A),shard:v100:5(3/4,2/4,0/4,0/4)", {"v100": 2}),
        ("gpu:v100:4,shard:16", "gpu:v100:0(IDX:N/A),shard:2", {"v100": 3}),
        ("gpu:v100:4,shard:v100:16", "gpu:v100:2(IDX:0-1),shard:v100:0(0/4,0/4,0/4,0/4)", {"v100": 2}),
        ("gpu:a100:2", "gpu:a100:4(IDX:0-3)", {"a100": 0}),
        ("(null)", "gpu:0", {"": 0}),
    ],
)
def test_what_is_in_use_or_shared_out_is_not_free(gres: str, used: str, expected: dict[str, int]) -> None:
    assert free_gpus(gres, used) == expected


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("a100", "a100"),
        ("A100", "a100"),
        ("nvidia_a100-sxm4-80gb", "a100"),
        ("NVIDIA A100-PCIE-40GB", "a100"),
        ("NVIDIA GeForce RTX 2080 Ti", "2080ti"),
        ("rtx3090", "3090"),
        ("gpu_l40s", "l40s"),
        ("a100_3g.20gb", "a100"),
        ("skylake", None),
        ("mi250", None),
        ("", None),
    ],
)
def test_models_are_recognised_in_names(name: str, model: str | None) -> None:
    assert family(name) == model


def test_every_model_of_the_table_is_its_own_family() -> None:
    assert [family(name) for name in ROUGH_SPEED] == list(ROUGH_SPEED)


@pytest.mark.parametrize("name", ["a100_3g.20gb", "1g.10gb", "nvidia_h100_1g.12gb+me", "A100_7G.80GB"])
def test_slices_are_told_from_whole_gpus(name: str) -> None:
    assert is_slice(name)


@pytest.mark.parametrize("name", ["a100", "nvidia_a100-sxm4-80gb", "h100_80gb"])
def test_whole_gpus_are_no_slices(name: str) -> None:
    assert not is_slice(name)


def test_the_profiles_speed_comes_before_the_rough_one() -> None:
    assert speed_of("a100", {"a100": 9.0}) == 9.0
    assert speed_of("nvidia_a100-sxm4-80gb", {"a100": 9.0}) == 9.0
    assert speed_of("a100", {}) == ROUGH_SPEED["a100"]


def test_rough_speeds_are_brought_to_the_profiles_scale() -> None:
    assert speed_of("h100", {"v100": 10.0}) == pytest.approx(10 * ROUGH_SPEED["h100"])


def test_a_slice_has_its_share_of_the_whole() -> None:
    assert speed_of("a100_3g.20gb", {"a100": 7.0}) == pytest.approx(3.0)


def test_an_unknown_gpu_has_no_speed() -> None:
    assert speed_of("mi250", {"a100": 2.0}) is None
    assert speed_of(None, {"a100": 2.0}) is None
