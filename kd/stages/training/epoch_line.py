"""One line per epoch, for the log of a job and for whoever watches a training in a terminal."""

from __future__ import annotations

from statistics import median

from kd.durations import rough_duration
from kd.train.state import Training


def epoch_line(training: Training, *, job: str, epochs: int) -> str:
    """Return ``distilled/seed-1: epoch 3/10, loss 1.2345, val_accuracy 45.12 %, …`` of the newest epoch.

    The time left is that of all epochs, whether or not the training stops early.
    """
    row, metric = training.rows[-1], f"val_{training.metric}"
    left = (epochs - training.epoch) * median(each["epoch_time_sec"] for each in training.rows)
    facts = [
        f"{job}: epoch {training.epoch}/{epochs}",
        f"loss {row['train_loss']:.4f}",
        f"val_loss {row['val_loss']:.4f}",
        f"{metric} {100 * row[metric]:.2f} %",
        f"lr {row['learning_rate']:.3g}",
        f"{row['images_per_second']:.0f} images/s",
        *([f"{rough_duration(left)} left"] if left else []),
    ]
    return ", ".join(facts)
