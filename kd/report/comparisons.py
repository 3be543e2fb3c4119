"""Distilled against baseline: paired numbers, whether the budgets match, and a verdict in words.

A pair is compared over the seeds that both stages finished. p values are corrected over the pipeline's pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kd.report.budget import different_epochs, different_totals
from kd.report.merge import differing_settings
from kd.report.statistics import Paired, compare, gap_closed, holm, retention
from kd.report.words import interval, p_value, points

Stage = Mapping[str, Any]  # a stage's summary
Stages = Mapping[str, dict[str, Any]]  # by name, in the plan's order

SIGNIFICANT = 0.05
BUDGET = (  # what must be equal for two accuracies to be ranked: a key of the summary, and what it is called
    ("test_images", "test images"),
    ("split_digest", "train/validation split"),
    ("data", "data settings"),
)
# the subject of a comparison, and what BUDGET already names
MEANT_TO_DIFFER = ("loss", "temperature", "weighting", "model", "epochs")


def comparisons(stages: Stages, asked: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
    """Compare the pairs that were asked for, each (stage, against).

    Where none were, compare every distilled stage with the baseline of its model, else with the first baseline.
    """
    usual = [
        (name, against)
        for name, stage in stages.items()
        if stage["role"] == "distilled" and (against := _baseline(stage, stages)) is not None
    ]
    pairs = [pair for pair in asked if set(pair) <= set(stages)] or usual
    paired = [compare(stages[name]["values"], stages[against]["values"]) for name, against in pairs]
    t_holm, sign_flip_holm = (
        holm([pair.paired_t for pair in paired]),
        holm([pair.sign_flip for pair in paired]),
    )
    entries = []
    for (name, against), pair, t, sign_flip in zip(pairs, paired, t_holm, sign_flip_holm, strict=True):
        corrected = {"paired_t_holm": t, "sign_flip_holm": sign_flip, "family": len(pairs)}
        entries.append(_entry(name, against, stages, pair, corrected))
    return entries


def _baseline(stage: Stage, stages: Stages) -> str | None:
    baselines = [name for name, other in stages.items() if other["role"] == "baseline"]
    same_model = [name for name in baselines if stages[name]["model"] == stage["model"]]
    return next(iter(same_model or baselines), None)


def _entry(
    name: str, against: str, stages: Stages, paired: Paired, corrected: Mapping[str, float | None]
) -> dict[str, Any]:
    stage, baseline = stages[name], stages[against]
    entry: dict[str, Any] = {
        "stage": name,
        "against": against,
        "seeds": list(paired.differences),
        "n": paired.sample.n,
        "difference": paired.sample.mean,
        "sd": paired.sample.sd,
        "ci95": None if paired.sample.ci95 is None else list(paired.sample.ci95),
        "differences": paired.differences,
        "p": {
            "paired_t": paired.paired_t,
            "sign_flip": paired.sign_flip,
            "sign_flip_floor": paired.sign_flip_floor,
            **corrected,
        },
        "effect_size_dz": paired.effect_size,
    }
    entry |= _against_teacher(stage, baseline, stages, list(paired.differences))
    entry["budget_differences"] = _budget_differences(stage, baseline)
    entry["notes"] = _unpaired(stage, baseline) + _notes(stage, baseline)
    entry["verdict"] = verdict(entry)
    return entry


def _against_teacher(stage: Stage, baseline: Stage, stages: Stages, seeds: Sequence[str]) -> dict[str, Any]:
    """Return gap closed (of a baseline's) and retention, from means over the paired seeds (or the teacher's seeds)."""
    teachers = [name for name, other in stages.items() if other["role"] == "teacher"]
    teacher = stage["teacher"] if stage["teacher"] in stages else next(iter(teachers), None)
    top = _mean(stages[teacher]["values"], seeds) if teacher else None
    low, high = _mean(baseline["values"], seeds), _mean(stage["values"], seeds)
    gap = gap_closed(top, low, high) if baseline["role"] == "baseline" else None
    return {"teacher": teacher, "gap_closed": gap, "retention": retention(top, high)}


def _mean(values: Mapping[str, float], seeds: Sequence[str]) -> float | None:
    chosen = [values[seed] for seed in seeds if seed in values] or list(values.values())
    return sum(chosen) / len(chosen) if chosen else None


def _budget_differences(stage: Stage, baseline: Stage) -> list[str]:
    """Return one note per difference that forbids ranking the two."""
    notes = different_epochs(stage, baseline)
    for key, called in BUDGET:
        one, two = stage[key], baseline[key]
        if one is None or two is None or one == two or [] in (one, two):
            continue
        values = "" if key in ("split_digest", "data") else f": {one} against {two}"
        notes.append(f"different {called}{values}")
    return notes


def _unpaired(stage: Stage, baseline: Stage) -> list[str]:
    one, two = stage["values"], baseline["values"]
    alone = [seed for seed in {**one, **two} if seed not in one or seed not in two]
    return [f"left out, finished on one side only: seed {', '.join(alone)}"] if alone else []


def _notes(stage: Stage, baseline: Stage) -> list[str]:
    """Return what else a reader should know: it does not forbid the comparison."""
    notes = different_totals(stage, baseline)
    if stage["model"] != baseline["model"]:
        notes.append(f"different models: {stage['model']} against {baseline['model']}")
    one, two = stage["device"], baseline["device"]
    if one and two and sorted(one) != sorted(two):
        notes.append(f"different devices: {', '.join(one)} against {', '.join(two)}")
    names = differing_settings(stage, baseline, ignored=MEANT_TO_DIFFER, parts=("settings",))
    if stage["settings"] and baseline["settings"] and names:
        notes.append(f"different settings besides the loss: {', '.join(names)}")
    return notes


def verdict(entry: Mapping[str, Any]) -> str:
    """Say in words what the numbers of one comparison allow, and no more."""
    name, against, n, difference = entry["stage"], entry["against"], entry["n"], entry["difference"]
    if difference is None:
        return f"No seed finished both {name} and {against}: nothing to compare."
    measured = f"{name} minus {against}: {points(difference)} points"
    if n == 1:
        sentences = [f"{measured} on the one common seed ({entry['seeds'][0]}): no interval, so no claim."]
    else:
        sentences = [f"{measured} (95 % interval {interval(entry['ci95'], points)}, {n} seeds)."]
    unequal = "; ".join(entry["budget_differences"])
    if unequal:
        sentences.append(f"Not ranked, the two are not like for like: {unequal}.")
    elif n > 1:
        sentences.append(_claim(entry))
    floor = entry["p"]["sign_flip_floor"]
    if floor is not None and floor > SIGNIFICANT:
        sentences.append(f"{n} seeds: p cannot go below {p_value(floor)} with the sign-flip test.")
    return " ".join(sentences)


def _claim(entry: Mapping[str, Any]) -> str:
    low, high = entry["ci95"]
    p, family = entry["p"]["paired_t_holm"], entry["p"]["family"]
    if p is None:
        return "All seeds differ by the same amount, so the t test does not apply."
    corrected = f" after Holm over {family} comparisons" if family > 1 else ""
    test = f"paired t test, p = {p_value(p)}{corrected}"
    if low <= 0 <= high:
        return f"The interval holds 0: no difference is shown ({test})."
    if p >= SIGNIFICANT:
        return f"The interval excludes 0, but correcting for several comparisons takes that back ({test})."
    return f"{entry['stage']} is {'better' if low > 0 else 'worse'}: the interval excludes 0 ({test})."
