"""Images that cannot fit in the memory their jobs ask for: one line at submission, with the numbers and the remedy."""

from __future__ import annotations

import pytest

from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from slurm.submission.memory_limits import images_beyond_memory, memory_of_gpu
from tests.slurm.launching import SMALL

LARGE = "data={name: synthetic, size: 224, train: 300000, test: 1000, validation: 1000}"


def planned(*overrides: str) -> Plan:
    return plan_pipeline(load_pipeline(str(SMALL), overrides=[LARGE, *overrides]))


def lines(plan: Plan) -> list[str]:
    return images_beyond_memory(plan, {job.key for job in plan.jobs})


def test_each_stage_whose_images_do_not_fit_is_named_once_with_what_to_ask_for() -> None:
    found = lines(planned("resources.memory=16G"))
    assert [line.partition(":")[0] for line in found] == ["stages.teacher", "stages.baseline", "stages.distilled"]
    assert "the 301,000 images of synthetic take 42.2 GiB as they are read" in found[0]
    assert "and resources.memory has 16.0 GiB: set resources.memory: " in found[0]
    asked = found[0].partition("set resources.memory: ")[2].partition(",")[0]
    assert lines(planned(f"resources.memory={asked}")) == [], "the remedy is one"


def test_a_few_images_on_a_gpu_fit_beside_the_process_alone() -> None:
    plan = plan_pipeline(load_pipeline(str(SMALL), overrides=["resources.gpus=1", "resources.memory=1G"]))
    assert lines(plan) == []


def test_images_that_no_gpu_of_the_type_can_hold_are_refused_for_it() -> None:
    wanted = ("resources.memory=900G", "resources.gpus=1")
    (line, *_) = lines(planned(*wanted, "resources.gpu_type=l4"))
    assert "and l4 has 24.0 GiB: use fewer or smaller images" in line
    assert lines(planned(*wanted, "resources.gpu_type=h100")) == []


@pytest.mark.parametrize(
    ("name", "gibibytes"), [("a100", 80), ("nvidia_a100-sxm4-40gb", 40), ("a100_3g.20gb", 20), ("unheard_of", None)]
)
def test_a_gpu_s_memory_is_that_in_its_name_or_the_most_its_model_has(name: str, gibibytes: int | None) -> None:
    assert memory_of_gpu(name) == (None if gibibytes is None else gibibytes << 30)
