"""What a stage can get wrong about its teachers: who they are, what a cache holds, how they are weighed, softened."""

from __future__ import annotations

from collections.abc import Iterator

from kd import catalog
from kd.errors import did_you_mean
from kd.jobfile.components import Fault, component_faults, data_faults, declared_shape
from kd.jobfile.graph import data_of, seeds_of, teachers_of, trainings_of
from kd.jobfile.schema import Augment, CacheStage, Data, DistillStage, Job, SelectStage, TrainStage
from kd.jobfile.source import Address
from kd.jobfile.taps import DECLARATION, PREACTIVATIONS, declares_taps
from kd.losses.inputs import FEATURES, STUDENT, TEACHER, TEACHER_LOGITS, needs_features, needs_preactivations


def teaching_faults(job: Job, name: str, stage: DistillStage | CacheStage, place: Address) -> Iterator[Fault]:
    """Yield the faults of what a stage says of its teachers."""
    met: set[str] = set()
    for index, teacher in enumerate(teachers_of(job, name)):
        where = (*place, "teacher", index)
        if teacher in met:
            yield where, f"stage '{teacher}' is named twice"
        else:
            yield from _teacher_faults(job, name, teacher, where)
        met.add(teacher)
    if isinstance(stage, DistillStage):
        yield from _feature_faults(job, stage, (*place, "loss"))
        yield from component_faults("weighting", stage.weighting, place)
        yield from _shares_faults(stage, (*place, "weighting"))
        yield from _temperature_faults(stage, place)
        yield from _cache_faults(job, stage, place)
    elif stage.data is not None:
        yield from data_faults(stage.data, (*place, "data"))


def needs_teacher(loss: str) -> bool:
    """Whether a loss takes anything from a teacher; False for a loss that the catalogue does not know."""
    entry = catalog.find("loss", loss)
    return entry is not None and any(name.startswith("teacher") for name in entry.inputs)


def _teacher_faults(job: Job, name: str, teacher: str, where: Address) -> Iterator[Fault]:
    stage, taught = job.stages[name], job.stages.get(teacher)
    assert isinstance(stage, (DistillStage, CacheStage))
    if taught is None:
        others = [other for other in job.stages if other != name]
        yield where, f"unknown stage '{teacher}'{did_you_mean(teacher, others)}"
    elif isinstance(taught, CacheStage) and isinstance(stage, CacheStage):
        yield where, f"stage '{teacher}' is a cache itself; name the stage that trains the teacher"
    elif isinstance(taught, CacheStage):
        yield from _pairing_faults(job, name, teacher, where)
    elif not isinstance(taught, (TrainStage, SelectStage)):
        yield where, f"stage '{teacher}' trains no model; it cannot teach"
    else:
        yield from _pairing_faults(job, name, teacher, where)
        seen, known = declared_shape(stage.data or job.data), declared_shape(data_of(job, teacher))
        if seen and known and seen != known:
            yield where, f"stage '{teacher}' learns {known}; it cannot teach {seen}"


def _pairing_faults(job: Job, name: str, teacher: str, where: Address) -> Iterator[Fault]:
    taught = seeds_of(job, teacher)
    lacking = sorted(set(seeds_of(job, name)).difference(taught))
    if lacking and len(taught) > 1:
        has = ", ".join(map(str, taught[:5])) + (" …" if len(taught) > 5 else "")
        yield where, f"stage '{teacher}' has no seed {lacking[0]} to teach (it has {has})"


def _feature_faults(job: Job, stage: DistillStage, place: Address) -> Iterator[Fault]:
    """Yield the losses that compare features where the student or its teacher gives none."""
    for name in stage.loss:
        entry = catalog.find("loss", name)
        if entry is not None and needs_features(entry.inputs):
            yield from _no_features(job, stage, name, entry.inputs, (*place, name))


def _no_features(job: Job, stage: DistillStage, loss: str, inputs: tuple[str, ...], where: Address) -> Iterator[Fault]:
    if len(stage.teacher) > 1:
        yield where, f"loss '{loss}' compares features, which only one teacher at a time can give; name one"
        return
    (name,) = stage.teacher
    teacher = job.stages.get(name)
    if isinstance(teacher, CacheStage):
        wanted = {name for name in FEATURES.intersection(inputs) if name.startswith("teacher")}
        if not wanted <= {"teacher_pooled_BD"}:
            yield where, f"loss '{loss}' compares feature maps, which no cache holds; name the cache's teacher itself"
        elif wanted and not teacher.pooled:
            yield where, f"loss '{loss}' compares pooled features; set 'pooled: true' in stage '{name}'"
        name = teacher.teacher
    taught_by = [each.model.name for each in trainings_of(job, name)]
    for models, asked in (([stage.model.name], STUDENT), (taught_by, TEACHER)):
        declaration = PREACTIVATIONS if needs_preactivations(set(inputs).intersection(asked)) else DECLARATION
        if silent := [model for model in models if not declares_taps(model, declaration)]:
            yield where, f"loss '{loss}' compares features, and model '{silent[0]}' declares no {declaration}"
            return


def _shares_faults(stage: DistillStage, place: Address) -> Iterator[Fault]:
    if stage.weighting.name == "label" and (stage.mixup or stage.cutmix):
        mixing = "mixup" if stage.mixup else "cutmix"
        yield place, f"weighting 'label' needs one true class per image, which {mixing} takes away"
    shares = stage.weighting.arguments.get("shares")
    if stage.weighting.name != "fixed" or not isinstance(shares, list) or len(stage.teacher) == 1:
        return
    if len(shares) != len(stage.teacher):
        yield (*place, "shares"), f"there are {len(stage.teacher)} teachers, and {len(shares)} shares"
    elif all(type(share) in (int, float) for share in shares) and sum(shares) == 0:
        yield (*place, "shares"), "the shares sum to 0: nobody would teach"


def _temperature_faults(stage: DistillStage, place: Address) -> Iterator[Fault]:
    if stage.temperature is None:
        return
    yield from component_faults("temperature", stage.temperature, place)
    softened = [name for name in stage.loss if _softens(name)]
    if not softened:
        yield (*place, "temperature"), "no term of the loss softens the teacher's logits; add 'kd', say"
    for name in softened:
        if "temperature" in stage.loss[name].arguments:
            where = (*place, "loss", name, "temperature")
            yield where, f"loss '{name}' has a temperature of its own beside the stage's; remove one"


def _softens(loss: str) -> bool:
    entry = catalog.find("loss", loss)
    return entry is not None and not TEACHER_LOGITS.isdisjoint(entry.inputs) and "temperature" in entry.arguments


def _cache_faults(job: Job, stage: DistillStage, place: Address) -> Iterator[Fault]:
    """Yield why a student would not see the views that its teachers' caches hold."""
    caches = {name: cache for name in stage.teacher if isinstance(cache := job.stages.get(name), CacheStage)}
    for name, cache in caches.items():
        where = (*place, "teacher", stage.teacher.index(name))
        if mixing := "mixup" if stage.mixup else "cutmix" if stage.cutmix else None:
            yield (*place, mixing), f"the cache '{name}' holds nothing for mixed images; name its teacher itself"
        if cache.augment != stage.augment:
            views = f"holds views of {_words(cache.augment)}, but the student's are of {_words(stage.augment)}"
            yield where, f"the cache '{name}' {views}; give both the same 'augment'"
        if _content(cache.data or job.data) != _content(stage.data or job.data):
            yield where, f"the cache '{name}' is of other data than the student's; give both the same 'data'"
    counts = sorted({cache.views for cache in caches.values()})
    if len(counts) > 1:
        yield (*place, "teacher"), f"the caches hold {' and '.join(map(str, counts))} views; give them equally many"


def _content(data: Data) -> dict[str, object]:
    """Return what decides the images to learn from."""
    return {key: value for key, value in data.model_dump().items() if key != "test_subset"}


def _words(augment: Augment) -> str:
    """Return an augmentation as a job file has it."""
    said = {key: value for key, value in augment.model_dump().items() if value}
    return "{" + ", ".join(f"{key}: {str(value).lower()}" for key, value in said.items()) + "}"
