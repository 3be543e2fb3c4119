"""A choice of partition in words: a table with every partition's reason, one line per stage, and JSON."""

from __future__ import annotations

from dataclasses import asdict

from msgspec import structs

from kd.columns import aligned
from kd.durations import rough_duration
from kd.jobfile.quantities import format_minutes
from kd.rundir.stage_spec import Needs
from slurm.placement.choice import Candidate, Choice

_HEADINGS = ("", "partition", "GPU", "free GPUs", "jobs now", "start", "work", "all done", "why")
_MOST_IN_A_LINE = 3


def in_one_line(choice: Choice) -> str:
    """Return one line: ``a100: starts now, at most 3 h; v100 lost: slower GPU (7 h 30 min)``."""
    if not choice.candidates:
        return "the site's default partition"
    if not choice.winners:
        return "no partition fits"
    won = choice.candidates[: choice.winners]
    parts = [f"{','.join(candidate.name for candidate in won)}: {_winning(choice)}"]
    losers = [candidate for candidate in choice.candidates[choice.winners :] if candidate.fits]
    parts += [f"{candidate.name} lost: {why(choice, candidate)}" for candidate in losers[:_MOST_IN_A_LINE]]
    if further := len(choice.candidates) - choice.winners - min(len(losers), _MOST_IN_A_LINE):
        parts.append(f"{further} more: kd-partitions")
    return "; ".join(parts)


def table(choice: Choice) -> str:
    """Return the ranking as aligned text, best first, with the reason of each."""
    rows = [_row(choice, position, candidate) for position, candidate in enumerate(choice.candidates)]
    return "\n".join("  ".join(line).rstrip() for line in aligned(_HEADINGS, rows))


def needs_in_words(needs: Needs, jobs: int) -> str:
    """Return ``5 jobs, each 1 × a100, 4 CPUs, 16G, 1d``."""
    gpus = "no GPU" if not needs.gpus else f"{needs.gpus} × {needs.gpu_type or 'GPU'}"
    memory = f"{needs.memory_mb // 1024}G" if needs.memory_mb % 1024 == 0 else f"{needs.memory_mb}M"
    each = f"{gpus}, {needs.cpus} CPUs, {memory}, {format_minutes(needs.minutes)}"
    return each if jobs == 1 else f"{jobs} jobs, each {each}"


def to_json(choice: Choice) -> dict[str, object]:
    """Return the ranking as plain data; times are seconds."""
    return {
        "needs": structs.asdict(choice.needs),
        "jobs": choice.jobs,
        "live": choice.live,
        "measured": choice.measured,
        "partition": choice.partition,
        "gpu_type": choice.gpu_type,
        "candidates": [
            {**asdict(candidate), "wins": position < choice.winners, "why": why(choice, candidate)}
            for position, candidate in enumerate(choice.candidates)
        ],
    }


def why(choice: Choice, candidate: Candidate) -> str:
    """Return why a candidate won, lost or was refused."""
    if candidate.refusal is not None:
        return candidate.refusal
    best = choice.candidates[0]
    if candidate in choice.candidates[: choice.winners]:
        reason = "wins" if candidate is best else "equal: named too, Slurm takes the first to be free"
    elif not choice.live:
        reason = f"stands after {best.name} in the cluster profile"
    else:
        reason = _lost(candidate, best)
    return "; ".join((reason, *_remarks(candidate)))


def _winning(choice: Choice) -> str:
    best = choice.candidates[0]
    if not choice.needs.gpus:
        return "needs no GPU"
    if not choice.live:
        return "the first of the cluster profile that fits"
    return f"{_start(best, choice, alone=True)}, {_work(best, choice)}"


def _lost(candidate: Candidate, best: Candidate) -> str:
    if candidate.finish is None:
        return "when it would start is not known"
    if candidate.finish == best.finish:
        preempted = candidate.preempts_to is not None and best.preempts_to is None
        return "as good, but may be preempted" if preempted else f"as good, but stands after {best.name}"
    reasons = []
    if (candidate.work or 0) > (best.work or 0):
        reasons.append("slower GPU")
    if (later := (candidate.start or 0) - (best.start or 0)) > 0:
        reasons.append(f"starts {rough_duration(later)} later at the earliest")
    return " and ".join(reasons) or "fewer jobs at a time"


def _remarks(candidate: Candidate) -> tuple[str, ...]:
    if candidate.preempts_to is None:
        return candidate.notes
    requeued = "REQUEUE" in candidate.preempts_to
    return (*candidate.notes, "jobs there may be preempted" + ("" if requeued else f" ({candidate.preempts_to})"))


def _row(choice: Choice, position: int, candidate: Candidate) -> tuple[str, ...]:
    timed = choice.live and candidate.fits and candidate.work is not None
    return (
        str(position + 1) if candidate.fits else "-",
        candidate.partition,
        candidate.gpu_type or "",
        "" if candidate.gpus is None else f"{candidate.free_gpus} of {candidate.gpus}",
        "" if candidate.slots is None or not candidate.fits else str(candidate.slots),
        _start(candidate, choice) if timed else "",
        _work(candidate, choice) if timed else "",
        rough_duration(candidate.finish) if candidate.finish is not None else "",
        why(choice, candidate),
    )


def _start(candidate: Candidate, choice: Choice, *, alone: bool = False) -> str:
    if candidate.start is None:
        return "start not known" if alone else "unknown"
    if candidate.start > 0:
        return f"{'starts ' if alone else ''}in {rough_duration(candidate.start)} or later"
    fewer = candidate.slots is not None and 0 < candidate.slots < choice.jobs
    return ("starts now" if alone else "now") + (
        f" ({candidate.slots} of {choice.jobs} jobs)" if alone and fewer else ""
    )


def _work(candidate: Candidate, choice: Choice) -> str:
    assert candidate.work is not None
    return f"{'about' if choice.measured else 'at most'} {rough_duration(candidate.work)}"
