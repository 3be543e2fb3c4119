"""Two real processes over gloo do what one would; one alone does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kd.train.distributed import ALONE, open_store
from tests.kd.train import one_of_two

pytestmark = pytest.mark.cpu  # two processes without two GPUs

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def two() -> list[dict[str, Any]]:
    """What each of two processes saw."""
    store = open_store()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.kd.train.one_of_two"]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(store.port)], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE
        )
        for rank in range(one_of_two.COUNT)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return [json.loads(text) for text in said]


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    """What a single process computes from the whole batch."""
    return one_of_two.learned(one_of_two.network(), one_of_two.whole_batch(), ALONE)


def test_shares_are_the_runs_of_a_batch(two) -> None:
    assert [each["share"] for each in two] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_gathering_makes_the_whole_batch_in_any_collection_and_leaves_the_rest(two) -> None:
    whole = {"maps": [[[0.0], [0.0], [1.0], [1.0]]], "epoch": 7, "nothing": None}
    assert [each["gathered"] for each in two] == [whole, whole]


def test_all_learn_what_any_of_them_knows(two) -> None:
    for each in two:
        assert each["total"] == 3.0
        assert each["any"] == [False, True]
        assert each["unequal"]
        assert each["equal"]


def test_two_processes_compute_the_loss_gradients_and_statistics_of_one(two, one) -> None:
    """Relations between samples of both shares included, and batch norm over both."""
    for each in two:
        learned = each["learned"]
        assert learned["loss"] == pytest.approx(one["loss"], rel=1e-5)
        for kind in ("gradients", "statistics"):
            for name, expected in one[kind].items():
                ours = torch.tensor(learned[kind][name], dtype=torch.float64)
                torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            torch.tensor(learned["evaluated"]), torch.tensor(one["evaluated"]), rtol=1e-4, atol=1e-5
        )


def test_alone_nothing_is_exchanged() -> None:
    values = torch.arange(4.0)
    assert ALONE.share(values).equal(values)
    assert ALONE.gather({"a": values})["a"] is values
    ALONE.add_up(values)
    assert values.tolist() == [0, 1, 2, 3]
    assert [ALONE.any(True), ALONE.any(False)] == [True, False]
