"""``kd-evaluate MODEL``: how well a trained model does on a data set, class by class, and what it costs.

The data set is that of the model's own stage, or any other in the words of a job file:

    kd-evaluate results/cnn_pipeline/stages/distilled/seed-42
    kd-evaluate model.onnx --data '{name: cifar10, root: /data/cifar10, validation: 5000}' -o evaluation.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd.errors import SpecError, run_command
from kd.files import write_json
from kd.rundir.folders import StageFolder

if TYPE_CHECKING:
    from kd.data.arrays import ImageArrays
    from kd.trained.evaluation import Evaluation

PARTS = ("test", "validation", "train")
LARGEST_CONFUSION = 20  # classes that a terminal shows as a matrix


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-evaluate``. Returns 0, or 2 on the user's mistake."""
    parser = argparse.ArgumentParser(
        prog="kd-evaluate", description="Measure a trained model on a data set.", allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a stage folder, a .safetensors or an .onnx file")
    parser.add_argument("--data", metavar="DATA", help="data as in a job file; default: the stage's own")
    parser.add_argument("--part", choices=PARTS, default="test", help="default: %(default)s")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write everything as JSON too")
    parser.add_argument("--allow-code", action="store_true", help="run the own code of somebody else's run")
    return run_command(lambda: _evaluate(parser.parse_args(argv)))


@dataclass(frozen=True, slots=True)
class _Data:
    name: str
    root: Path | None
    arguments: dict[str, object]
    validation: float | None
    train_subset: int | None
    test_subset: int | None

    def load(self) -> ImageArrays:
        from kd.data.load_arrays import load_arrays

        return load_arrays(self.name, self.root, self.arguments, self.train_subset, self.test_subset)


def _evaluate(options: argparse.Namespace) -> int:
    from kd.permitted_code import permit_code
    from kd.trained.evaluation import evaluate  # late: it loads torch, which --help need not wait for
    from kd.trained.open_model import open_model

    trained = open_model(options.model, allow_code=options.allow_code)
    data = _given(options.data) if options.data else _of_stage(options.model)
    permit_code(options.model, [data.name], allow_code=options.allow_code)
    evaluation = evaluate(trained, data.load(), part=options.part, validation=data.validation)
    print_evaluation(evaluation)
    if options.output:
        write_json(options.output, {"data": data.name, **evaluation.to_json()})
        print(options.output)
    return 0


def _given(text: str) -> _Data:
    """Return the data that ``--data`` describes. Raises SpecError as a job file would."""
    from kd.jobfile.data_option import read_data_option

    given = read_data_option(text)
    return _Data(
        name=given.name,
        root=Path(given.root) if given.root else None,
        arguments=given.arguments,
        validation=given.validation,
        train_subset=given.train_subset,
        test_subset=given.test_subset,
    )


def _of_stage(path: Path) -> _Data:
    """Return the data of the stage that a model belongs to."""
    from kd.rundir.stage_spec import read_spec

    folder = path if path.is_dir() else path.absolute().parent.parent
    stage = StageFolder(folder)
    if not stage.spec.is_file():
        raise SpecError([f"{path}: lies in no stage folder; say with --data what to measure it on"])
    data = read_spec(stage).data
    if data is None:
        raise SpecError([f"{path}: this stage has no data"])
    root = Path(data.root) if data.root else None
    return _Data(data.name, root, data.arguments, data.validation, data.train_subset, data.test_subset)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the tables: the whole, each class, who is taken for whom."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, metrics, detail = Console(), evaluation.metrics, evaluation.detail
    console.print(Text(f"{evaluation.model}, {evaluation.images} {evaluation.part} images"))
    whole = Table(box=box.SIMPLE_HEAD, show_header=False)
    rows = {
        "accuracy": f"{metrics.accuracy:.2%}",
        "macro precision, recall, F1": f"{metrics.precision:.2%}  {metrics.recall:.2%}  {metrics.f1_score:.2%}",
        "negative log-likelihood": f"{detail.negative_log_likelihood:.4f} nats",
        "expected calibration error": f"{detail.calibration.expected_error:.2%}",
        "parameters": f"{evaluation.parameters:,}" if evaluation.parameters else "not told by the file",
        "file": f"{evaluation.bytes / 1e6:.2f} MB",
        "latency of one image": f"{evaluation.latency.median * 1e3:.2f} ms (p95 {evaluation.latency.p95 * 1e3:.2f} ms)",
        "throughput": f"{evaluation.images_per_second:,.0f} images a second",
        "measured with": evaluation.runtime,
    }
    for name, value in rows.items():
        whole.add_row(name, Text(value))
    console.print(whole)
    classes = Table("class", "images", "precision", "recall", "F1", box=box.SIMPLE_HEAD)
    for name, scores in detail.classes.items():
        shares = (f"{value:.2%}" for value in (scores.precision, scores.recall, scores.f1_score))
        classes.add_row(Text(name), str(scores.images), *shares)
    console.print(classes)
    if isinstance(detail.confusion[0][0], int) and len(detail.classes) <= LARGEST_CONFUSION:
        console.print(_confusion(list(detail.classes), detail.confusion))


def _confusion(names: list[str], counts: Any) -> Any:
    """Return the confusion matrix as a table: a row for each true class, a column for each predicted one."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("true, predicted", box=box.SIMPLE_HEAD)
    for number in range(len(names)):
        table.add_column(str(number), justify="right")
    for number, (name, row) in enumerate(zip(names, counts, strict=True)):
        cells = (
            Text(str(count) if count else "·", "bold" if index == number else "") for index, count in enumerate(row)
        )
        table.add_row(Text(f"{number} {name}"), *cells)
    return table
