"""Every loss of the catalogue once more: numpy, float64, written as the papers write them, sharing no code with kd.

Each takes what the loss takes (``given``: the vocabulary of kd.losses.inputs as arrays; ``weights``: its adapter's
parameters and buffers as arrays) and its keyword arguments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Given = Mapping[str, Any]


def softmax(row: Array, temperature: float = 1.0) -> Array:
    powers = np.exp((row - row.max()) / temperature)
    return powers / powers.sum()


def divergence(p: Array, q: Array) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def z_scores(row: Array) -> Array:
    return (row - row.mean()) / (row.std(ddof=1) + 1e-7)


def logit_rows(given: Given, standardise: bool = False) -> list[tuple[Array, Array]]:
    rows = list(zip(given["student_logits_BC"], given["teacher_logits_BC"], strict=True))
    return [(z_scores(s), z_scores(t)) for s, t in rows] if standardise else rows


def ce(given: Given, weights: Given, label_smoothing: float = 0.0) -> float:
    total, classes = 0.0, given["student_logits_BC"].shape[1]
    for row, label in zip(given["student_logits_BC"], given["labels_B"], strict=True):
        wanted = np.full(classes, label_smoothing / classes)
        wanted[label] += 1 - label_smoothing
        total -= (wanted * np.log(softmax(row))).sum()
    return total / len(given["labels_B"])


def balance(counts: Any, beta: float) -> list[float]:
    """Weights by Cui et al.'s effective number (inverse frequency at beta = 1), with mean 1 over the images."""
    raw = [1 / n if beta == 1 else (1 - beta) / (1 - beta**n) for n in map(int, counts)]
    mean = sum(weight * n for weight, n in zip(raw, counts, strict=True)) / sum(counts)
    return [weight / mean for weight in raw]


def balanced_ce(given: Given, weights: Given, beta: float = 1.0, label_smoothing: float = 0.0) -> float:
    total, classes = 0.0, given["student_logits_BC"].shape[1]
    each = balance(given["class_counts_C"], beta)
    for row, label in zip(given["student_logits_BC"], given["labels_B"], strict=True):
        wanted = np.full(classes, label_smoothing / classes)
        wanted[label] += 1 - label_smoothing
        total -= each[label] * (wanted * np.log(softmax(row))).sum()
    return total / len(given["labels_B"])


def balanced_bce(given: Given, weights: Given, beta: float = 1.0) -> float:
    total = 0.0
    each = [balance(counts, beta) for counts in given["label_counts_K2"]]
    for row, labels in zip(given["student_logits_BK"], given["labels_BK"], strict=True):
        for number, (z, label) in enumerate(zip(row, labels, strict=True)):
            total -= each[number][label] * math.log(yes(z) if label else 1 - yes(z))
    return total / given["labels_BK"].size


def kd(given: Given, weights: Given, temperature: float = 4.0, standardise: bool = False) -> float:
    pairs = logit_rows(given, standardise)
    rows = [divergence(softmax(t, temperature), softmax(s, temperature)) for s, t in pairs]
    return temperature**2 * float(np.mean(rows))


def dkd(
    given: Given,
    weights: Given,
    temperature: float = 4.0,
    alpha: float = 1.0,
    beta: float = 8.0,
    warmup: int = 0,
    standardise: bool = False,
) -> float:
    total = 0.0
    for (s, t), label in zip(logit_rows(given, standardise), given["labels_B"], strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        own = divergence(np.array([p[label], 1 - p[label]]), np.array([q[label], 1 - q[label]]))
        rest = divergence(np.delete(p, label) / (1 - p[label]), np.delete(q, label) / (1 - q[label]))
        total += alpha * own + beta * rest
    factor = min(1.0, (given["epoch"] + 1) / warmup) if warmup else 1.0
    return factor * temperature**2 * total / len(given["labels_B"])


def pearson(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / (math.sqrt((a**2).sum()) * math.sqrt((b**2).sum()) + 1e-8))


def dist(
    given: Given,
    weights: Given,
    temperature: float = 4.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    standardise: bool = False,
) -> float:
    rows = zip(*logit_rows(given, standardise), strict=True)
    student, teacher = (np.array([softmax(row, temperature) for row in side]) for side in rows)
    inter = np.mean([1 - pearson(student[i], teacher[i]) for i in range(len(student))])
    intra = np.mean([1 - pearson(student[:, j], teacher[:, j]) for j in range(student.shape[1])])
    return float(temperature**2 * (beta * inter + gamma * intra))


def kd_standardised(given: Given, weights: Given, temperature: float = 2.0) -> float:
    return kd(given, weights, temperature, standardise=True)


def nkd(given: Given, weights: Given, temperature: float = 1.0, gamma: float = 1.5, standardise: bool = False) -> float:
    total = 0.0
    for (s, t), label in zip(logit_rows(given, standardise), given["labels_B"], strict=True):
        total -= softmax(t)[label] * math.log(softmax(s)[label])
        p, q = softmax(np.delete(t, label), temperature), softmax(np.delete(s, label), temperature)
        total -= gamma * temperature**2 * (p * np.log(q)).sum()
    return total / len(given["labels_B"])


def ctkd(
    given: Given, weights: Given, least: float = 1.0, span: float = 20.0, loops: int = 10, standardise: bool = False
) -> float:
    temperature = least + span / (1 + math.exp(-float(weights["number"])))
    return kd(given, weights, temperature, standardise)


def normkd(given: Given, weights: Given, temperature: float = 2.0) -> float:
    rows = []
    for s, t in logit_rows(given):
        hot_s, hot_t = temperature * s.std(ddof=1), temperature * t.std(ddof=1)
        rows.append(hot_t**2 * divergence(softmax(t, hot_t), softmax(s, hot_s)))
    return float(np.mean(rows))


def wttm(given: Given, weights: Given, temperature: float = 4.0, weighted: bool = True) -> float:
    rows = []
    for s, t in logit_rows(given):
        powers = softmax(t) ** (1 / temperature)
        rows.append((powers.sum() if weighted else 1) * divergence(powers / powers.sum(), softmax(s)))
    return float(np.mean(rows))


def hard_kd(given: Given, weights: Given) -> float:
    return float(np.mean([-math.log(softmax(s)[t.argmax()]) for s, t in logit_rows(given)]))


def tfkd(given: Given, weights: Given, temperature: float = 20.0, correct: float = 0.99) -> float:
    total = 0.0
    for (student, _), label in zip(logit_rows(given), given["labels_B"], strict=True):
        made_up = np.full(len(student), (1 - correct) / (len(student) - 1))
        made_up[label] = correct
        total += divergence(softmax(made_up, temperature), softmax(student))
    return total / len(given["labels_B"])


def ofa(given: Given, weights: Given, temperature: float = 1.0, epsilon: float = 1.0) -> float:
    total = 0.0
    for (s, t), label in zip(logit_rows(given), given["labels_B"], strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        for c in range(len(p)):
            count = (1 + p[c]) ** epsilon - 1 if c == label else p[c] ** epsilon
            total -= count * math.log(q[c])
    return total / len(given["labels_B"])


def wsld(given: Given, weights: Given, temperature: float = 2.0) -> float:
    total = 0.0
    for (s, t), label in zip(logit_rows(given), given["labels_B"], strict=True):
        ratio = math.log(softmax(s)[label]) / (math.log(softmax(t)[label]) - 1e-7)
        soft = -(softmax(t, temperature) * np.log(softmax(s, temperature))).sum()
        total += (1 - math.exp(-ratio)) * soft
    return temperature**2 * total / len(given["labels_B"])


def mlkd(
    given: Given,
    weights: Given,
    temperatures: Sequence[float] = (2, 3, 4, 5, 6),
    images: float = 1.0,
    batch: float = 1.0,
    classes: float = 1.0,
    standardise: bool = False,
) -> float:
    total = 0.0
    for temperature in temperatures:
        total += images * kd(given, weights, temperature, standardise)
        s, t = (np.array([softmax(row, temperature) for row in side]) for side in zip(*logit_rows(given), strict=True))
        by_image = [(s[i] @ s[j] - t[i] @ t[j]) ** 2 for i in range(len(s)) for j in range(len(s))]
        by_class = [(s[:, i] @ s[:, j] - t[:, i] @ t[:, j]) ** 2 for i in range(s.shape[1]) for j in range(s.shape[1])]
        total += batch * sum(by_image) / len(s) + classes * sum(by_class) / s.shape[1]
    return float(total)


def average(maps: Array, height: int, width: int) -> Array:
    """Adaptive average pooling, region by region."""
    out = np.empty((*maps.shape[:2], height, width))
    for i in range(height):
        for j in range(width):
            rows = slice(i * maps.shape[2] // height, math.ceil((i + 1) * maps.shape[2] / height))
            columns = slice(j * maps.shape[3] // width, math.ceil((j + 1) * maps.shape[3] / width))
            out[:, :, i, j] = maps[:, :, rows, columns].mean((2, 3))
    return out


def pairs(
    given: Given,
    stages: Sequence[int] | None,
    default: str = "all",
    ours: str = "student_maps",
    theirs: str = "teacher_maps",
) -> list[tuple[Array, Array]]:
    chosen = [stage - 1 for stage in stages] if stages else {"all": [0, 1, 2], "middle": [1], "last": [2]}[default]
    return [(given[ours][i], given[theirs][i]) for i in chosen]


def resized(student: Array, teacher: Array) -> tuple[Array, Array]:
    height, width = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return average(student, height, width), average(teacher, height, width)


def convolve(maps: Array, kernel: Array, bias: Array | None = None) -> Array:
    """A convolution with zero padding that keeps the size, pixel by pixel."""
    batch, _, height, width = maps.shape
    reach = kernel.shape[2] // 2
    padded = np.pad(maps, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    out = np.zeros((batch, len(kernel), height, width))
    for i in range(height):
        for j in range(width):
            window = padded[:, :, i : i + 2 * reach + 1, j : j + 2 * reach + 1]
            out[:, :, i, j] = np.einsum("bcij,ocij->bo", window, kernel)
    return out if bias is None else out + bias[:, None, None]


def fitnet(given: Given, weights: Given, stages: Sequence[int] | None = None, distance: str = "squared") -> float:
    total = 0.0
    for index, pair in enumerate(pairs(given, stages, "middle")):
        student, teacher = resized(*pair)
        mapped = normed(student, weights, str(index))
        if distance == "cosine":
            cosines = [
                (s * t).sum() / math.sqrt((s**2).sum() * (t**2).sum()) for s, t in zip(mapped, teacher, strict=True)
            ]
            total += 1 - sum(cosines) / len(cosines)
        else:
            total += float(((mapped - teacher) ** 2).mean())
    return total


def at(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    def attention(one: Array) -> Array:
        q = np.array([[np.mean(one[:, i, j] ** 2) for j in range(one.shape[2])] for i in range(one.shape[1])]).ravel()
        return q / math.sqrt((q**2).sum())

    total = 0.0
    for pair in pairs(given, stages):
        student, teacher = resized(*pair)
        gaps = [(attention(s) - attention(t)) ** 2 for s, t in zip(student, teacher, strict=True)]
        total += float(np.mean(gaps))
    return total


def vid(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    total = 0.0
    for index, pair in enumerate(pairs(given, stages)):
        student, teacher = resized(*pair)
        hidden = np.maximum(convolve(student, weights[f"means.{index}.0.weight"]), 0)
        hidden = np.maximum(convolve(hidden, weights[f"means.{index}.2.weight"]), 0)
        mean = convolve(hidden, weights[f"means.{index}.4.weight"])
        variance = np.log1p(np.exp(weights[f"scales.{index}"])) + 1e-5
        for channel, v in enumerate(variance):
            squared = (mean[:, channel] - teacher[:, channel]) ** 2
            total += float((0.5 * (squared / v + math.log(v))).mean()) / len(variance)
    return total


def nearest(maps: Array, height: int, width: int) -> Array:
    rows = [i * maps.shape[2] // height for i in range(height)]
    columns = [j * maps.shape[3] // width for j in range(width)]
    return maps[:, :, rows][:, :, :, columns]


def normed(maps: Array, weights: Given, name: str) -> Array:
    """A convolution and batch normalisation by the batch's own statistics."""
    out = convolve(maps, weights[f"{name}.0.weight"])
    mean, variance = out.mean((0, 2, 3), keepdims=True), out.var((0, 2, 3), keepdims=True)
    scale, shift = (weights[f"{name}.1.{part}"][:, None, None] for part in ("weight", "bias"))
    return (out - mean) / np.sqrt(variance + 1e-5) * scale + shift


def review(given: Given, weights: Given, stages: Sequence[int] | None = None, warmup: int = 0) -> float:
    pooled = (given["student_pooled_BD"][:, :, None, None], given["teacher_pooled_BD"][:, :, None, None])
    every = [*pairs(given, stages, theirs="teacher_preactivations"), pooled]
    total, deeper = 0.0, None
    for stage in range(len(every) - 1, -1, -1):
        student, teacher = every[stage]
        here = normed(student, weights, f"reduce.{stage}")
        if deeper is not None:
            above = nearest(deeper, *here.shape[2:])
            both = np.concatenate([here, above], axis=1)
            share = 1 / (
                1 + np.exp(-convolve(both, weights[f"attend.{stage}.weight"], weights[f"attend.{stage}.bias"]))
            )
            here = here * share[:, [0]] + above * share[:, [1]]
        deeper = nearest(here, *teacher.shape[2:])
        out = normed(deeper, weights, f"expand.{stage}")
        loss, weight, whole = ((out - teacher) ** 2).mean(), 1.0, 1.0
        for size in (4, 2, 1):
            if size < teacher.shape[2]:
                weight /= 2
                loss += weight * ((average(out, size, size) - average(teacher, size, size)) ** 2).mean()
                whole += weight
        total += float(loss / whole)
    return total * (min(1.0, given["epoch"] / warmup) if warmup else 1.0)


def crd(
    given: Given, weights: Given, negatives: int = 16384, temperature: float = 0.07, momentum: float = 0.5
) -> float:
    """The first batch of a training: its mean score fixes Z. ``given["drawn"]`` are the negatives [B, K]."""
    images = len(given["labels_N"])

    def embedded(features: Array, layer: str) -> Array:
        out = features @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        return out / np.sqrt((out**2).sum(1, keepdims=True))

    total = 0.0
    for name, layer, bank in (
        ("student_pooled_BD", "embed_student", "teacher_bank"),
        ("teacher_pooled_BD", "embed_teacher", "student_bank"),
    ):
        anchors = embedded(given[name], layer)
        scores = [
            [math.exp(anchor @ weights[bank][image] / temperature) for image in (own, *drawn)]
            for anchor, own, drawn in zip(anchors, given["indices_B"], given["drawn"], strict=True)
        ]
        z = np.mean(scores) * images
        for own, *others in scores:
            total -= math.log((own / z) / (own / z + negatives / images))
            total -= sum(math.log(1 - (x / z) / (x / z + negatives / images)) for x in others)
    return total / len(given["indices_B"])


def below_zero(scale: float, offset: float) -> float:
    """The mean of the values below 0 of a normal distribution, as OFD's margin has it."""
    deviation = abs(scale)
    share = 0.5 * math.erfc(offset / deviation / math.sqrt(2))
    if share <= 0.001:
        return -3 * deviation
    density = math.exp(-((offset / deviation) ** 2) / 2) / math.sqrt(2 * math.pi)
    return offset - deviation * density / share


BEFORE = {"ours": "student_preactivations", "theirs": "teacher_preactivations"}


def ofd(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    total, every = 0.0, pairs(given, stages, **BEFORE)
    norms = [given["teacher_norms"][stage - 1] for stage in stages or (1, 2, 3)]
    for index, (pair, (scales, offsets)) in enumerate(zip(every, norms, strict=True)):
        student, teacher = resized(*pair)
        source = normed(student, weights, str(index))
        for channel, (scale, offset) in enumerate(zip(scales, offsets, strict=True)):
            margin = below_zero(float(scale), float(offset))
            for s, t in zip(source[:, channel].ravel(), teacher[:, channel].ravel(), strict=True):
                wanted = max(t, margin)
                total += (s - wanted) ** 2 * (s > wanted or t > 0) / len(source) / 2 ** (len(every) - 1 - index)
    return float(total)


def ab(given: Given, weights: Given, margin: float = 1.0, stages: Sequence[int] | None = None) -> float:
    total, every = 0.0, pairs(given, stages, **BEFORE)
    for index, pair in enumerate(every):
        student, teacher = resized(*pair)
        source = normed(student, weights, str(index))
        for s, t in zip(source.ravel(), teacher.ravel(), strict=True):
            gap = max(margin - s, 0) if t > 0 else max(margin + s, 0)
            total += gap**2 / len(source) / 2 ** (len(every) - 1 - index)
    return float(total)


def mgd(given: Given, weights: Given, blanked: float = 0.15, stages: Sequence[int] | None = None) -> float:
    total = 0.0
    for index, pair in enumerate(pairs(given, stages, "last")):
        student, teacher = resized(*pair)
        out = convolve(student, weights[f"align.{index}.weight"], weights[f"align.{index}.bias"])
        out[:, : round(blanked * out.shape[1])] = 0  # the mask of these tests
        for layer in ("0", "2"):
            name = f"generate.{index}.{layer}"
            active = out if layer == "0" else np.maximum(out, 0)
            out = convolve(active, weights[f"{name}.weight"], weights[f"{name}.bias"])
        total += float(((out - teacher) ** 2).sum()) / len(out)
    return total


def rectified(maps: Array, slope: float = 0.0) -> Array:
    return np.where(maps > 0, maps, slope * maps)


def standard(maps: Array, weights: Given, name: str) -> Array:
    mean, variance = maps.mean((0, 2, 3), keepdims=True), maps.var((0, 2, 3), keepdims=True)
    scale, shift = (weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return (maps - mean) / np.sqrt(variance + 1e-5) * scale + shift


def ft(given: Given, weights: Given, reconstruction: float = 1.0) -> float:
    def through(maps: Array, part: str, layers: Sequence[int], norms: bool = False) -> Array:
        for layer in layers:
            maps = convolve(maps, weights[f"{part}.{layer}.weight"], weights[f"{part}.{layer}.bias"])
            maps = rectified(standard(maps, weights, f"{part}.{layer + 1}") if norms else maps, 0.1)
        return maps

    teacher = given["teacher_maps"][-1]
    factors = through(teacher, "paraphrase", (0, 2, 4))
    again = through(factors, "restore", (0, 2, 4))
    ours, theirs = resized(through(given["student_maps"][-1], "translate", (0, 3, 6), norms=True), factors)
    total = []
    for s, t in zip(ours, theirs, strict=True):
        one, two = ((each**2).mean(0) for each in (s, t))
        total.append(np.abs(one / math.sqrt((one**2).sum()) - two / math.sqrt((two**2).sum())).mean())
    return float(np.mean(total) + reconstruction * ((again - teacher) ** 2).mean())


def semckd(given: Given, weights: Given, softness: float = 1.0) -> float:
    def embedded(maps: Array, part: str, stage: int) -> Array:
        flat = maps.reshape(len(maps), -1)
        first, second = ([weights[f"{part}.{stage}.{n}.{each}"] for each in ("weight", "bias")] for n in (0, 2))
        rows = rectified(flat @ flat.T @ first[0].T + first[1]) @ second[0].T + second[1]
        return np.array([row / math.sqrt((row**2).sum()) for row in rows])

    students, teachers = given["student_maps"], given["teacher_maps"]
    queries = [embedded(maps, "queries", stage) for stage, maps in enumerate(students)]
    keys = [embedded(maps, "keys", stage) for stage, maps in enumerate(teachers)]
    total = 0.0
    for s, maps in enumerate(students):
        for t, wanted in enumerate(teachers):
            name = f"regressors.{s}.{t}"
            ours, theirs = resized(maps, wanted)
            for layer in (0, 3):
                ours = convolve(ours, weights[f"{name}.{layer}.weight"])
                ours = rectified(standard(ours, weights, f"{name}.{layer + 1}"))
            ours = convolve(ours, weights[f"{name}.6.weight"])
            for image in range(len(ours)):
                scores = np.array([queries[s][image] @ key[image] for key in keys])
                total += softmax(scores, softness)[t] * ((ours[image] - theirs[image]) ** 2).mean()
    return float(total / (len(students[0]) * len(students)))


def channel_gram(one: Array) -> Array:
    flat = one.reshape(len(one), -1)
    gram = np.array([[a @ b for b in flat] for a in flat])
    return np.array([row / math.sqrt((row**2).sum()) for row in gram])


def ickd(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    total = 0.0
    for index, (student, teacher) in enumerate(pairs(given, stages, "last")):
        embedded = normed(student, weights, str(index))
        for s, t in zip(embedded, teacher, strict=True):
            total += float(((channel_gram(s) - channel_gram(t)) ** 2).sum()) / teacher.shape[1] / len(teacher)
    return total


def nst(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    def rows(one: Array) -> list[Array]:
        return [channel.ravel() / math.sqrt((channel**2).sum()) for channel in one]

    def kernel(a: list[Array], b: list[Array]) -> float:
        return float(np.mean([(x @ y) ** 2 for x in a for y in b]))

    total = 0.0
    for pair in pairs(given, stages):
        student, teacher = resized(*pair)
        images = [(rows(s), rows(t)) for s, t in zip(student, teacher, strict=True)]
        total += float(np.mean([kernel(t, t) + kernel(s, s) - 2 * kernel(s, t) for s, t in images]))
    return total


def fsp(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    def flow(first: Array, second: Array) -> Array:
        a, b = resized(first, second)
        return np.einsum("bchw,bdhw->bdc", a, b) / (a.shape[2] * a.shape[3])

    every = [(student, teacher[:, : student.shape[1]]) for student, teacher in pairs(given, stages)]
    return sum(
        float(((flow(every[i][0], every[i + 1][0]) - flow(every[i][1], every[i + 1][1])) ** 2).mean())
        for i in range(len(every) - 1)
    )


def srd(given: Given, weights: Given) -> float:
    projected = given["student_pooled_BD"] @ weights["weight"].T + weights["bias"]
    s, t = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-4) for x in (projected, given["teacher_pooled_BD"]))
    return math.log((np.abs(s - t) ** 4).sum())


def cc(given: Given, weights: Given, width: int = 128) -> float:
    s, t = (
        given[f"{who}_pooled_BD"] @ weights[f"{index}.weight"].T + weights[f"{index}.bias"]
        for index, who in enumerate(("student", "teacher"))
    )
    gaps = np.abs(s - t)
    return float(np.mean([gaps[i] @ gaps[i + 1] for i in range(len(gaps) - 1)]))


def sp(given: Given, weights: Given, stages: Sequence[int] | None = None) -> float:
    def rows(maps: Array) -> Array:
        flat = [one.ravel() for one in maps]
        gram = np.array([[a @ b for b in flat] for a in flat])
        return np.array([row / math.sqrt((row**2).sum()) for row in gram])

    return sum(float(((rows(s) - rows(t)) ** 2).sum()) / len(s) ** 2 for s, t in pairs(given, stages, "last"))


def huber(a: float, b: float) -> float:
    gap = abs(a - b)
    return gap**2 / 2 if gap < 1 else gap - 0.5


def rkd(given: Given, weights: Given, distance: float = 1.0, angle: float = 2.0) -> float:
    def lengths(x: Array) -> Array:
        d = np.array([[math.sqrt(((a - b) ** 2).sum()) for b in x] for a in x])
        return d / d[d > 0].mean()

    def cosine(x: Array, i: int, j: int, k: int) -> float:
        a, b = x[i] - x[j], x[k] - x[j]
        return float(a @ b / math.sqrt((a @ a) * (b @ b))) if i != j and k != j else 0.0

    s, t = given["student_pooled_BD"], given["teacher_pooled_BD"]
    every = range(len(s))
    d_s, d_t = lengths(s), lengths(t)
    distances = np.mean([huber(d_s[i, j], d_t[i, j]) for i in every for j in every])
    angles = np.mean([huber(cosine(s, i, j, k), cosine(t, i, j, k)) for i in every for j in every for k in every])
    return float(distance * distances + angle * angles)


def pkt(given: Given, weights: Given) -> float:
    def neighbours(x: Array) -> Array:
        cosines = np.array([[a @ b / math.sqrt((a @ a) * (b @ b)) for b in x] for a in x])
        similarities = (cosines + 1) / 2
        return similarities / similarities.sum(1, keepdims=True)

    s, t = neighbours(given["student_pooled_BD"]), neighbours(given["teacher_pooled_BD"])
    rows = [
        sum(b * math.log((b + 1e-7) / (a + 1e-7)) for a, b in zip(q, p, strict=True)) for q, p in zip(s, t, strict=True)
    ]
    return float(np.mean(rows))


def yes(logit: float, temperature: float = 1.0) -> float:
    return float(softmax(np.array([logit, 0.0]), temperature)[0])


def bce(given: Given, weights: Given) -> float:
    total = 0.0
    for row, labels in zip(given["student_logits_BK"], given["labels_BK"], strict=True):
        total -= sum(math.log(yes(z) if label else 1 - yes(z)) for z, label in zip(row, labels, strict=True))
    return total / given["labels_BK"].size


def binary_kd(given: Given, weights: Given, temperature: float = 4.0) -> float:
    total = 0.0
    pairs = zip(given["student_logits_BK"].flatten(), given["teacher_logits_BK"].flatten(), strict=True)
    for student, teacher in pairs:
        p, q = yes(teacher, temperature), yes(student, temperature)
        total += divergence(np.array([p, 1 - p]), np.array([q, 1 - q]))
    return temperature**2 * total / given["student_logits_BK"].size
