"""A cache: the teacher's own bits for the views that students see, whoever they are, and nothing for any others."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch

from kd.distill.cached_teacher import CachedTeacher, open_cache
from kd.distill.teacher import LiveTeacher
from kd.errors import CheckpointError, SpecError
from kd.files import sha256_file
from kd.rundir.folders import CACHE
from kd.rundir.stage_spec import spec_from_json
from kd.stages.context import Interrupted
from kd.stages.stage_data import load_data
from kd.train.batches import AugmentedBatches
from kd.train.weights import load_model
from tests.kd.conftest import make_spec
from tests.kd.stages.training.test_fit_stage import outcome, stop_at

VIEWS = 2


def cache_spec(*, seed: int = 7, **settings: object) -> dict:
    """Return the spec of a cache of two views of the images that ``make_spec`` trains on."""
    spec = make_spec("views", kind="distill")
    own = {"views": VIEWS, "pooled": False, "augment": {"crop": 1, "flip": True}}
    settings = {**own, "precision": "float32", "deterministic": False, **settings}
    return {**spec, "kind": "cache", "role": None, "seed": seed, "settings": settings}


def student_spec(**settings: object) -> dict:
    return make_spec("student", kind="distill", precision="float32", **settings)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def cache(run, teacher: Path, shared: Path) -> Path:
    """A finished cache of the teacher; made once."""
    if not (shared / "views/result.json").exists():
        run(shared / "views", cache_spec(), parents={"teacher": teacher})
    return shared / "views"


def loaded(spec: dict):
    typed = spec_from_json(spec)
    return load_data(typed.data, augment=typed.settings.augment, staged=None, device=torch.device("cpu"))


@pytest.mark.cpu  # equal bits without `deterministic`
def test_what_is_cached_is_what_a_fresh_teacher_says_bit_for_bit(cache: Path, teacher: Path) -> None:
    spec = student_spec()
    data = loaded(spec)
    model, own = load_model(teacher / "checkpoint/best.safetensors")
    model = model.to(memory_format=torch.channels_last)
    live = LiveTeacher(model, own=own, student=data.card(spec_from_json(spec).settings.model))
    cached = CachedTeacher(open_cache(cache / CACHE)[0], device="cpu")
    seen = set()
    for seed in (1, 2):
        batches = AugmentedBatches(data.train, batch_size=16, seed=seed, cached_views=VIEWS)
        for epoch in range(VIEWS + 1):
            for batch in batches.epoch(epoch):
                fresh = live(batch)["teacher_logits_BC"]
                assert torch.equal(cached(batch)["teacher_logits_BC"], fresh)
                seen.update(map(tuple, fresh.tolist()))
    assert len(seen) > len(data.train), "each image is seen in more than one view"


def test_the_result_lists_the_file_and_whose_it_is(cache: Path, teacher: Path) -> None:
    result = json.loads((cache / "result.json").read_text())
    assert result["files"] == {CACHE: sha256_file(cache / CACHE)}
    tensors, card = open_cache(cache / CACHE)
    assert result["cache"]["key"] == card.key
    assert result["cache"]["shapes"] == {"logits": [VIEWS, 70, 4], "validation_logits": [30, 4]}
    assert {name: list(tensor.shape) for name, tensor in tensors.items()} == result["cache"]["shapes"]
    assert card.teacher == sha256_file(teacher / "checkpoint/best.safetensors")
    assert result["teacher"]["stage"] == "teacher"
    teachers_own = json.loads((teacher / "result.json").read_text())
    assert result["parameters"] == teachers_own["parameters"]
    assert [path.name for path in (cache / "checkpoint").iterdir()] == ["views.safetensors"]
    assert json.loads((cache / "progress.json").read_text())["epoch"] == VIEWS


def test_the_file_is_mapped_and_not_read(cache: Path) -> None:
    tensors, _ = open_cache(cache / CACHE)
    assert str((cache / CACHE).resolve()) in Path("/proc/self/maps").read_text()
    assert tensors["logits"].dtype is torch.float32


def test_the_views_depend_on_the_seed_of_nobody(run, cache: Path, teacher: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "views", cache_spec(seed=8), parents={"teacher": teacher})
    assert (again.path / CACHE).read_bytes() == (cache / CACHE).read_bytes()


@pytest.mark.parametrize("change", ["teacher", "images", "augment"])
def test_another_teacher_data_or_augmentation_is_another_key(run, teacher, cache, tmp_path: Path, change: str) -> None:
    spec, parent = cache_spec(), teacher
    if change == "teacher":
        parent = run(tmp_path / "other", make_spec("teacher", epochs=1)).path
    elif change == "images":
        spec["data"]["arguments"]["noise"] = 0.1
    else:
        spec["settings"]["augment"] = {"crop": 1, "flip": False}
    other = run(tmp_path / "views", spec, parents={"teacher": parent})
    (tensors, card), (before, card_before) = open_cache(other.path / CACHE), open_cache(cache / CACHE)
    assert card.key != card_before.key
    assert not torch.equal(tensors["logits"], before["logits"])


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.cpu  # equal bits without `deterministic`
def test_a_cache_that_was_interrupted_ends_the_same(
    run, cache: Path, teacher: Path, tmp_path: Path, step: int, monkeypatch
) -> None:
    monkeypatch.setattr("kd.data.store.EVALUATION_BATCH", 64)  # two batches of each view
    with pytest.raises(Interrupted, match=f"view 1 after batch {step}"):
        run(tmp_path / "it", cache_spec(), parents={"teacher": teacher}, stop_requested=stop_at(step))
    assert not (tmp_path / "it/result.json").exists()
    folder = run(tmp_path / "it", cache_spec(), parents={"teacher": teacher})
    assert (folder.path / CACHE).read_bytes() == (cache / CACHE).read_bytes()
    assert json.loads(folder.result.read_text())["attempts"] == 2


def test_a_student_of_a_cache_names_the_teacher_behind_it(run, cache: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "it", student_spec(), parents={"teacher": cache})
    facts = json.loads(folder.result.read_text())["teacher"]
    assert (facts["stage"], facts["cache"]) == ("teacher", {"stage": "views", "seed": 7})
    assert 0 <= facts["validation_accuracy"] <= 1


@pytest.mark.cpu  # equal bits without `deterministic`
def test_a_student_of_a_cache_resumes_bit_for_bit(run, cache: Path, tmp_path: Path) -> None:
    whole = outcome(run(tmp_path / "whole", student_spec(), parents={"teacher": cache}))
    for step in (2, 5):
        with pytest.raises(Interrupted):
            run(tmp_path / "it", student_spec(), parents={"teacher": cache}, stop_requested=stop_at(step))
    assert outcome(run(tmp_path / "it", student_spec(), parents={"teacher": cache})) == whole


def test_pooled_features_are_cached_where_asked_for(run, teacher: Path, tmp_path: Path) -> None:
    cache = run(tmp_path / "views", cache_spec(pooled=True), parents={"teacher": teacher})
    tensors, _ = open_cache(cache.path / CACHE)
    model, _ = load_model(teacher / "checkpoint/best.safetensors")
    assert torch.allclose(model.fc(tensors["pooled"][1]), tensors["logits"][1], atol=1e-5)
    loss = {"ce": {"weight": 1.0, "arguments": {}}, "pkt": {"weight": 1.0, "arguments": {}}}
    folder = run(tmp_path / "it", student_spec(loss=loss, epochs=1), parents={"teacher": cache.path})
    assert "loss_pkt" in folder.metrics.read_text()
    maps = {"at": {"weight": 1.0, "arguments": {}}}
    with pytest.raises(SpecError, match="asks for teacher_maps, and the teacher gives none"):
        run(tmp_path / "maps", student_spec(loss=maps, epochs=1), parents={"teacher": cache.path})


def test_a_student_that_sees_other_views_or_images_is_refused_in_one_line(run, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"views of \{crop: 1, flip: true\}, but the student's are of \{crop: 2, "):
        run(tmp_path / "a", student_spec(augment={"crop": 2, "flip": True}), parents={"teacher": cache})
    for path, value in ((("arguments", "noise"), 0.1), (("validation",), 29), (("train_subset",), 60)):
        spec = copy.deepcopy(student_spec())
        part = spec["data"]
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
        with pytest.raises(SpecError, match="made of other training images") as error:
            run(tmp_path / "b", spec, parents={"teacher": cache})
        assert "\n" not in str(error.value)


def test_mixed_images_are_refused_in_one_line(run, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds nothing for mixed images"):
        run(tmp_path / "it", student_spec(mixup={"alpha": 0.2}), parents={"teacher": cache})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "result.json").unlink(), "no result.json"),
        (lambda folder: (folder / CACHE).unlink(), "cache is missing"),
        (lambda folder: (folder / CACHE).write_bytes(b"no"), "cache is damaged"),
    ],
)
def test_an_unusable_cache_is_refused_in_one_line(run, cache: Path, tmp_path: Path, damage, words: str) -> None:
    broken = shutil.copytree(cache, tmp_path / "views")
    damage(broken)
    with pytest.raises(CheckpointError, match=words):
        run(tmp_path / "it", student_spec(), parents={"teacher": broken})
