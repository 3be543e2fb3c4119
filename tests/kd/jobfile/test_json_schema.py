"""jobs/schema.json: fresh, true for every good job file, and refusing what an editor can see is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kd import catalog
from kd.errors import SpecError
from kd.jobfile.json_schema import job_schema
from kd.jobfile.source import read_document

REPOSITORY = Path(__file__).resolve().parents[3]
JOBS = sorted((REPOSITORY / "jobs").glob("*.yaml"))
GOOD = sorted((REPOSITORY / "tests/specs/good").glob("*.yaml"))
BROKEN = sorted((REPOSITORY / "tests/specs/broken").glob("*.yaml"))
# Faults that take more than one place of the file, or its surroundings, to see.
BEYOND_A_SCHEMA = {
    "graph_in_float16",
    "graph_of_own_draws",
    "graph_of_two_gpus",
    "batch_beyond_images", "batch_not_for_three_gpus", "cache_of_a_cache", "cache_of_other_augment",
    "cache_of_other_data", "cache_with_mixup", "cache_without_maps", "cache_without_pooled",
    "cache_on_four_gpus", "caches_of_unequal_views", "clip_infinite", "compare_unknown_stage", "compare_with_a_cache",
    "configuration_cycle", "configuration_does_not_fit", "configuration_of_a_stage", "configuration_unknown",
    "crop_and_resized_crop", "crop_beyond_image", "cutout_beyond_image", "export_of_nothing",
    "infinite_learning_rate", "infinite_weight",
    "labels_weigh_mixed_images", "loss_needs_teacher", "loss_of_labels", "loss_of_one_class", "medmnist_of_many_labels",
    "sampling_of_labels", "sampling_and_weights",
    "milestone_past_the_end", "milestones_equal", "milestones_unsorted", "mixing_with_hard_targets",
    "modality_of_plain_images", "modality_unknown", "only_reports", "prune_without_start", "real_for_whole_number",
    "search_choice_out_of_range", "search_for_a_search", "search_for_unknown_stage", "search_log_of_zero",
    "search_of_a_missing_term", "search_of_both_weights", "search_of_the_model", "search_of_unknown_key",
    "search_on_two_gpus", "search_range_of_a_switch", "search_range_out_of_range", "search_range_upside_down",
    "search_remembers_a_stage", "search_remembers_itself", "search_remembers_unknown", "search_without_the_seed",
    "searches_of_one_stage", "seed_without_teacher", "select_by_a_stranger", "select_by_another_model",
    "select_by_other_data", "select_cycle", "select_of_a_report", "select_of_a_selection", "select_seed_missing",
    "select_unequal_lengths", "select_unknown_student", "shares_all_zero", "shares_for_others",
    "stage_called_like_a_variant",
    "start_of_another_model", "start_of_itself", "start_of_other_data", "start_of_other_modalities", "start_unknown",
    "start_without_the_seed", "teacher_cycle", "teacher_cycle_of_three", "teacher_is_a_report", "teacher_is_itself",
    "teacher_never_used", "teacher_of_other_images", "teachers_of_features", "temperature_given_twice",
    "temperature_of_nothing", "term_of_no_teacher", "time_beyond_a_year", "unknown_teacher",
    "unknown_teacher_in_a_list",
    "validation_leaves_nothing", "variable_not_set", "variable_with_default", "warmup_beyond_a_milestone",
    "warmup_too_long",
    "weight_is_no_number", "weighting_of_one_class", "weights_all_zero", "weights_sum", "zero_time",
}  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    """A validator of the schema that the code makes now."""
    schema = job_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_the_committed_schema_is_fresh() -> None:
    committed = json.loads((REPOSITORY / "jobs/schema.json").read_text(encoding="utf-8"))
    assert committed == job_schema(), "renew it: python -m kd.jobfile.json_schema > jobs/schema.json"


@pytest.mark.parametrize("path", [*JOBS, *GOOD], ids=lambda path: path.stem)
def test_good_job_files_fit(path: Path, validator: jsonschema.Draft7Validator) -> None:
    validator.validate(read_document(path).data)


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_job_files_do_not_fit(path: Path, validator: jsonschema.Draft7Validator) -> None:
    try:
        data = read_document(path).data
    except SpecError:
        return  # no YAML that an editor would check against a schema
    assert validator.is_valid(data) == (path.stem in BEYOND_A_SCHEMA)


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_job_files_name_their_schema_to_editors(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n")


def with_teacher(**changes: Any) -> dict[str, Any]:
    teacher = {"kind": "train", "model": "convnet", "epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}, **changes}
    return {
        "pipeline": "x",
        "data": {"name": "digits", "validation": 9},
        "seeds": [1],
        "stages": {"teacher": teacher},
    }


@pytest.mark.parametrize("name", catalog.entries("model"))
def test_every_model_may_be_named_alone_or_with_arguments(name: str, validator: jsonschema.Draft7Validator) -> None:
    validator.validate(with_teacher(model=name))
    validator.validate(with_teacher(model={"name": name}))
    assert not validator.is_valid(with_teacher(model={"name": name, "no_such_argument": 1}))


@pytest.mark.parametrize("name", catalog.entries("loss"))
def test_every_loss_may_be_a_number_or_a_mapping(name: str, validator: jsonschema.Draft7Validator) -> None:
    validator.validate(with_teacher(loss={name: 1}))
    validator.validate(with_teacher(loss={name: {"weight": 0.5}}))
    assert not validator.is_valid(with_teacher(loss={name: {"weight": 0.5, "no_such_argument": 1}}))
    assert not validator.is_valid(with_teacher(loss={name: -1}))


def test_names_bring_their_summaries_to_the_editor() -> None:
    choices = job_schema()["$defs"]["model"]["anyOf"]
    bare = {choice["const"]: choice["description"] for choice in choices if "const" in choice}
    assert bare == {name: entry.summary for name, entry in catalog.entries("model").items()}
