"""Distilled against baseline: paired numbers, whether the budgets match, and a verdict in words.

A pair is compared over the seeds that both stages finished. p values are corrected over the pipeline's pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from kd.report.budget import different_epochs, different_totals
from kd.report.formatting import interval, p_value, points
from kd.report.merge import differing_settings
from kd.report.report_stages import JobRecord, StageSummary
from kd.report.report_value import Comparison, PValues
from kd.report.statistics import Paired, compare, gap_closed, holm, retention

Stages = Mapping[str, StageSummary]  # by name, in the plan's order

SIGNIFICANT = 0.05
# the subject of a comparison, and what forbids ranking anyway
MEANT_TO_DIFFER = ("loss", "temperature", "weighting", "model", "epochs")


def comparisons(stages: Stages, asked: Sequence[tuple[str, str]] = ()) -> list[Comparison]:
    """Compare the pairs that were asked for, each (stage, against).

    Where none were, compare every distilled stage with the baseline of its model, else with the first baseline.
    """
    usual = [
        (name, against)
        for name, stage in stages.items()
        if stage.role == "distilled" and (against := _baseline(stage, stages)) is not None
    ]
    pairs = [pair for pair in asked if set(pair) <= set(stages)] or usual
    paired = [compare(stages[name].values, stages[against].values) for name, against in pairs]
    t_holm, sign_flip_holm = (
        holm([pair.paired_t for pair in paired]),
        holm([pair.sign_flip for pair in paired]),
    )
    entries = []
    for (name, against), pair, t, sign_flip in zip(pairs, paired, t_holm, sign_flip_holm, strict=True):
        p = PValues(
            paired_t=pair.paired_t,
            sign_flip=pair.sign_flip,
            sign_flip_floor=pair.sign_flip_floor,
            paired_t_holm=t,
            sign_flip_holm=sign_flip,
            family=len(pairs),
        )
        entries.append(_comparison(name, against, stages, pair, p))
    return entries


def _baseline(stage: StageSummary, stages: Stages) -> str | None:
    baselines = [name for name, other in stages.items() if other.role == "baseline"]
    same_model = [name for name in baselines if stages[name].model == stage.model]
    return next(iter(same_model or baselines), None)


def _comparison(name: str, against: str, stages: Stages, paired: Paired, p: PValues) -> Comparison:
    stage, baseline = stages[name], stages[against]
    teacher, gap, retained = _against_teacher(stage, baseline, stages, list(paired.differences))
    comparison = Comparison(
        stage=name,
        against=against,
        seeds=list(paired.differences),
        n=paired.sample.n,
        difference=paired.sample.mean,
        sd=paired.sample.sd,
        ci95=None if paired.sample.ci95 is None else list(paired.sample.ci95),
        differences=paired.differences,
        p=p,
        effect_size_dz=paired.effect_size,
        teacher=teacher,
        gap_closed=gap,
        retention=retained,
        budget_differences=_budget_differences(stage, baseline),
        notes=_unpaired(stage, baseline) + _notes(stage, baseline),
    )
    return replace(comparison, verdict=verdict(comparison))


def _against_teacher(
    stage: StageSummary, baseline: StageSummary, stages: Stages, seeds: Sequence[str]
) -> tuple[str | None, float | None, float | None]:
    """Return the teacher, the gap closed (from a baseline) and the retention.

    They are made of means over the paired seeds, or over the teacher's seeds where it has none of those.
    """
    teachers = [name for name, other in stages.items() if other.role == "teacher"]
    teacher = stage.teacher if stage.teacher in stages else next(iter(teachers), None)
    top = _mean(stages[teacher].values, seeds) if teacher else None
    low, high = _mean(baseline.values, seeds), _mean(stage.values, seeds)
    gap = gap_closed(top, low, high) if baseline.role == "baseline" else None
    return teacher, gap, retention(top, high)


def _mean(values: Mapping[str, float], seeds: Sequence[str]) -> float | None:
    chosen = [values[seed] for seed in seeds if seed in values] or list(values.values())
    return sum(chosen) / len(chosen) if chosen else None


def _budget_differences(stage: StageSummary, baseline: StageSummary) -> list[str]:
    """Return one note per difference that forbids ranking the two."""
    notes = different_epochs(stage, baseline)
    if _differ(stage.test_images, baseline.test_images):
        notes.append(f"different test images: {stage.test_images} against {baseline.test_images}")
    if _differ(stage.split_digest, baseline.split_digest):
        notes.append("different train/validation split")
    if _differ(stage.data, baseline.data):
        notes.append("different data settings")
    return notes


def _differ(one: object, two: object) -> bool:
    """Return whether both are known and differ."""
    return None not in (one, two) and [] not in (one, two) and one != two


def _unpaired(stage: StageSummary, baseline: StageSummary) -> list[str]:
    one, two = stage.values, baseline.values
    alone = [seed for seed in {**one, **two} if seed not in one or seed not in two]
    return [f"left out, finished on one side only: seed {', '.join(alone)}"] if alone else []


def _is_same(job: JobRecord, other: JobRecord | None) -> bool:
    return other is not None and job.fingerprint == other.fingerprint


def _notes(stage: StageSummary, baseline: StageSummary) -> list[str]:
    """Return what else a reader should know: it does not forbid the comparison."""
    notes = different_totals(stage, baseline)
    if same := [seed for seed, job in stage.jobs.items() if _is_same(job, baseline.jobs.get(seed))]:
        notes.append(f"the same job under two names, trained once: seed {', '.join(same)}")
    if stage.model != baseline.model:
        notes.append(f"different models: {stage.model} against {baseline.model}")
    one, two = stage.device, baseline.device
    if one and two and sorted(one) != sorted(two):
        notes.append(f"different devices: {', '.join(one)} against {', '.join(two)}")
    names = differing_settings(stage.settings, baseline.settings, ignored=MEANT_TO_DIFFER)
    if stage.settings and baseline.settings and names:
        notes.append(f"different settings besides the loss: {', '.join(names)}")
    return notes


def verdict(pair: Comparison) -> str:
    """Return in words what the numbers of one comparison allow, and no more."""
    if pair.difference is None:
        return f"No seed finished both {pair.stage} and {pair.against}: nothing to compare."
    measured = f"{pair.stage} minus {pair.against}: {points(pair.difference)} points"
    if pair.n == 1:
        sentences = [f"{measured} on the one common seed ({pair.seeds[0]}): no interval, so no claim."]
    else:
        sentences = [f"{measured} (95 % interval {interval(pair.ci95, points)}, {pair.n} seeds)."]
    unequal = "; ".join(pair.budget_differences)
    if unequal:
        sentences.append(f"Not ranked, the two are not like for like: {unequal}.")
    elif pair.n > 1:
        sentences.append(_claim(pair))
    floor = pair.p.sign_flip_floor
    if floor is not None and floor > SIGNIFICANT:
        sentences.append(
            f"The sign-flip test, which assumes less, cannot go below p = {p_value(floor)} with {pair.n} seeds."
        )
    return " ".join(sentences)


def _claim(pair: Comparison) -> str:
    assert pair.ci95 is not None, "two seeds have an interval"
    low, high = pair.ci95
    p, family = pair.p.paired_t_holm, pair.p.family
    if p is None:
        return "All seeds differ by the same amount, so the t test does not apply."
    corrected = f" after Holm over {family} comparisons" if family > 1 else ""
    test = f"paired t test, p = {p_value(p)}{corrected}"
    if low <= 0 <= high:
        return f"The interval holds 0: no difference is shown ({test})."
    if p >= SIGNIFICANT:
        return f"The interval excludes 0, but correcting for several comparisons takes that back ({test})."
    return f"{pair.stage} is {'better' if low > 0 else 'worse'}: the interval excludes 0 ({test})."
