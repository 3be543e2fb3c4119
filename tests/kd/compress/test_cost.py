"""Counts against sums done by hand; times that are at least possible."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters, file_bytes, measure_latency, measure_throughput


def test_counts_agree_with_sums_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(4 * 64, 10))
    model[2].requires_grad_(False)
    assert count_parameters(model) == 4 * 3 * 9 + 256 * 10 + 10
    assert count_flops(model, torch.randn(3, 8, 8)) == 2 * (4 * 3 * 9 * 64) + 2 * (256 * 10)


def test_counting_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    count_flops(model, torch.ones(1, 4, 4))
    assert model.training
    assert int(model[1].num_batches_tracked) == 0


def test_warm_up_runs_are_not_counted() -> None:
    shapes: list[tuple[int, ...]] = []

    def run(images: Tensor) -> None:
        shapes.append(tuple(images.shape))

    latency = measure_latency(run, torch.zeros(1, 4, 4), rounds=20, warm_up=3)
    assert shapes == [(1, 1, 4, 4)] * 23
    assert latency.rounds == 20
    assert latency.threads == torch.get_num_threads()
    assert 0 < latency.median <= latency.p95


def test_percentiles_are_those_of_the_counted_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([100.0, *(each / 1024 for each in range(1, 22))])  # a slow warm-up, then 1 to 21 units
    monkeypatch.setattr("kd.compress.cost._seconds", lambda run, images: float(next(seconds)))
    latency = measure_latency(lambda images: None, torch.zeros(1, 1, 1), rounds=21, warm_up=1)
    assert (latency.median * 1024, latency.p95 * 1024) == (11.0, 20.0)
    rate = iter([9.0, 2.0, 4.0, 8.0])
    monkeypatch.setattr("kd.compress.cost._seconds", lambda run, images: next(rate))
    assert measure_throughput(lambda images: None, torch.zeros(8, 1, 1, 1), rounds=3, warm_up=1) == 2.0


@pytest.mark.parametrize(("each", "rounds", "batches"), [(0.001, 200, 10), (0.05, 40, 10), (0.5, 20, 4), (9.0, 20, 3)])
def test_a_slow_model_is_timed_less_often(
    monkeypatch: pytest.MonkeyPatch, each: float, rounds: int, batches: int
) -> None:
    counted: list[None] = []

    def seconds(run: object, images: Tensor) -> float:
        counted.append(None)
        return each

    monkeypatch.setattr("kd.compress.cost._seconds", seconds)
    assert measure_latency(lambda images: None, torch.zeros(1, 1, 1), warm_up=0).rounds == rounds == len(counted)
    counted.clear()
    assert measure_throughput(lambda images: None, torch.zeros(8, 1, 1, 1), warm_up=0) == 8 / each
    assert len(counted) == batches


def test_file_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert file_bytes(tmp_path / "file") == 5


def test_attention_is_counted_with_its_projections_scores_and_values() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, tokens: Tensor) -> Tensor:
            attended, _ = self.attention(tokens, tokens, tokens, need_weights=False)
            return attended

    projections = 2 * 5 * 4 * 8 * 8
    scores_and_values = 2 * 2 * 5 * 5 * 8
    assert count_flops(Attention(), torch.randn(5, 8)) == projections + scores_and_values
