"""What a training will take of memory and disk, before anything is loaded: sums of sizes, without torch.

What a network's activations take is not known without running it, so a forecast is a lower bound: a job whose forecast
does not fit cannot run, and one whose forecast fits may still need a smaller batch.
"""

from __future__ import annotations

from dataclasses import dataclass

# Above this many bytes of padded and mirrored copies they are made batch by batch instead. CIFAR takes
# 0.5 GB; 224 x 224 images take 0.3 MB each.
PREPARED_BYTES = 2 << 30
FLOAT32 = 4
PROCESS_BYTES = 300 << 20  # Python with torch for a CPU, before it has loaded anything
CONTEXT_BYTES = 500 << 20  # of a GPU's memory, for CUDA itself
# how many numbers an optimizer remembers for each weight
OPTIMIZER_COPIES = {"sgd": 1, "adam": 2, "adamw": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """So many images of one part, ``size`` pixels a side."""

    count: int
    channels: int
    size: int

    @property
    def bytes(self) -> int:
        """Bytes of the pixels."""
        return self.prepared_bytes(padding=0, flip=False)

    def prepared_bytes(self, *, padding: int, flip: bool) -> int:
        """Bytes of the pixels with ``padding`` on each side and, with ``flip``, of their mirror images."""
        return self.count * self.channels * (self.size + 2 * padding) ** 2 * (2 if flip else 1)

    def kept_bytes(self, *, padding: int, flip: bool) -> int:
        """Bytes that a store of them keeps: prepared ones, as far as these are not too many."""
        prepared = self.prepared_bytes(padding=padding, flip=flip)
        return prepared if prepared <= PREPARED_BYTES else self.bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What is trained: its weights, and how many further copies of them a training keeps."""

    parameters: int
    optimizer: str = "sgd"
    ema: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of the weights."""
        return FLOAT32 * self.parameters

    @property
    def kept_bytes(self) -> int:
        """Bytes of weights, optimizer, best weights and moving average: what a checkpoint holds."""
        return self.bytes * (2 + OPTIMIZER_COPIES.get(self.optimizer, 2) + int(self.ema))


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Bytes that one job takes at the least: of the machine's memory, of a GPU's, and of its results folder."""

    memory: int
    gpu_memory: int
    disk: int


def forecast(
    train: Images,
    held_out: Images,
    test: Images,
    network: Network,
    *,
    padding: int = 0,
    flip: bool = False,
    teacher_parameters: int = 0,
    gpu: bool = False,
) -> Forecast:
    """Return what training a network on ``train`` takes; ``held_out`` are the validation images.

    All images lie in the machine's memory as they were read. The training part lies once more, padded and mirrored, on
    the device, beside the validation part; the test part comes when the training part has gone.
    """
    read = train.bytes + held_out.bytes + test.bytes
    stores = max(train.kept_bytes(padding=padding, flip=flip), test.bytes) + held_out.bytes
    gradients = network.bytes
    state = network.kept_bytes + gradients + FLOAT32 * teacher_parameters
    on_device = stores + state
    return Forecast(
        # CUDA's libraries are files, which the machine may drop from its memory: no job ends for want of room for them
        memory=read + PROCESS_BYTES + (0 if gpu else on_device),
        gpu_memory=CONTEXT_BYTES + on_device if gpu else 0,
        # two checkpoints, the one being written included, and the best and the last weights beside the last of them
        disk=2 * network.kept_bytes + 2 * network.bytes,
    )
