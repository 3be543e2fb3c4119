"""``kind: train``: train a model on labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.errors import did_you_mean
from kd.jobfile import tiny
from kd.jobfile.augment_faults import augment_faults
from kd.jobfile.capture_faults import capture_faults
from kd.jobfile.faults import (
    component_faults,
    data_faults,
    declared_shape,
    model_faults,
    repeated_seed_faults,
    search_reference_faults,
)
from kd.jobfile.graph import data_of
from kd.jobfile.loss_faults import label_faults, loss_faults, mixing_faults
from kd.jobfile.resolve import (
    TRAINING_NEEDS,
    resolved_augment,
    resolved_component,
    resolved_draw,
    resolved_option,
    resolved_term,
)
from kd.jobfile.schedule_faults import drop_faults
from kd.jobfile.schema import (
    Attack,
    Augment,
    Compile,
    Component,
    DataSet,
    Draw,
    EarlyStopping,
    Ema,
    Loss,
    MixingOptions,
    Modalities,
    Model,
    Name,
    Optimizer,
    Precision,
    Programs,
    Schedule,
    Seeds,
    TermOptions,
)
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits
from kd.rundir import stage_spec
from kd.rundir.stage_spec import Sampling, TrainSettings

HINTON = ("ce", "kd")  # the two terms whose weights are expected to sum to 1


class TrainStage(Stage):
    """Train a model on labels."""

    kind: Literal["train"]
    role: Name | None = Field(default=None, description="teacher, baseline, distilled … : its place in the report")
    seeds: Seeds | None = Field(default=None, description="Instead of the pipeline's seeds")
    model: Model = Field(description="The network that is trained")
    epochs: int = Field(ge=0, le=1_000_000, description="0: measure what 'pretrained' or 'start' gives, as it is")
    batch_size: int = Field(default=128, gt=0, le=1_000_000, description="Images per step, over all GPUs together")
    optimizer: Optimizer = Field(description="With its learning rate")
    no_decay: bool = Field(default=False, description="Spare norms, biases, class tokens and positions weight decay")
    norm_bias_lr: float | None = Field(
        default=None, gt=0, le=1000, description="Factor on the learning rate of the offsets of norms"
    )
    schedule: Schedule = Field(default=Component(name="constant"), description="The factor on the learning rate")
    loss: Loss = Field(default={"ce": TermOptions(weight=1.0)}, description="Terms by name with their weights")
    free_weights: bool = Field(default=False, description="Let the weights of ce and kd sum to something other than 1")
    augment: Augment = Field(default=Augment(), description="Random changes of the training images")
    sampling: Sampling | None = Field(
        default=None, description="Draw rare classes more often: each as often, or by the root of its size"
    )
    mixup: MixingOptions | None = Field(default=None, description="Blend pairs of images (arXiv:1710.09412)")
    cutmix: MixingOptions | None = Field(default=None, description="Paste in a box of another image (arXiv:1905.04899)")
    ema: Ema | None = Field(default=None, description="Average the weights over the steps")
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Largest norm of all gradients")
    accumulate: int | None = Field(
        default=None, gt=1, le=10_000, description="Compute a batch in this many parts; batch norm sees one at a time"
    )
    early_stopping: EarlyStopping | None = Field(default=None, description="Stop when validation gets no better")
    attack: Attack | None = Field(default=None, description="Measure the accuracy under attack too (FGSM and PGD)")
    start: str | None = Field(default=None, description="The stage whose model is trained on, instead of a fresh one")
    configuration: str | None = Field(default=None, description="The search whose best settings are used")
    prune: float | None = Field(default=None, gt=0, lt=1, description="First remove this share of its channels")
    int8_aware: bool = Field(default=False, description="Train with the rounding of int8, to export static_int8")
    data: DataSet | None = Field(default=None, description="Instead of the pipeline's data")
    modalities: Modalities | None = Field(default=None, description="What the model sees of an image; default: all")
    precision: Precision = Field(
        default="auto", description="What networks multiply in; auto: bfloat16 where it is fast"
    )
    deterministic: bool = Field(default=False, description="Bit-identical reruns on a GPU too, at some cost of speed")
    compile: Compile = Field(
        default=False, description="true: use torch.compile. graph: replay each step as one CUDA graph, on one GPU"
    )
    checkpoint_every: int = Field(default=10, gt=0, description="Epochs between checkpoints on shared storage")
    draw: Draw | None = Field(default=None, description="What the report draws of the model: embeddings, feature maps")
    track: Programs = Field(default=[], description="Programs that show the training's curves")

    traits: ClassVar[Traits] = Traits(
        gives="model",
        trains=True,
        measures_accuracy=True,
        layers=("data", "models", "losses", "train"),
        needs=TRAINING_NEEDS,
        takes_pipeline_resources=True,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, object]] = {
        "kind": "train",
        "model": "convnet",
        "epochs": 2,
        "optimizer": {"name": "sgd", "lr": 0.1},
    }

    @property
    def weights_share_one(self) -> bool:
        """Whether the loss is ``ce`` and ``kd`` with weights that are to sum to 1."""
        return set(self.loss) == set(HINTON) and not self.free_weights

    def terms(self) -> list[tuple[str, str, TermOptions]]:
        """Return the terms of the loss: each one's name, its loss, and itself."""
        return [(name, term.loss or name, term) for name, term in self.loss.items()]

    @property
    def mixing(self) -> str | None:
        """How images are mixed: ``mixup``, ``cutmix`` or None."""
        return "mixup" if self.mixup else "cutmix" if self.cutmix else None

    def teachers(self) -> Sequence[str]:
        """Return the stages that teach this one, whether they are there or not."""
        return []

    def searched_components(self) -> dict[str, Component]:
        """Return catalogue kind -> the component whose arguments a search may set."""
        return {"optimizer": self.optimizer, "schedule": self.schedule}

    def model_references(self) -> dict[str, str]:
        """Return the references to the stages whose models the training uses."""
        return {"start": self.start} if self.start is not None else {}

    def own(self, pipeline: Pipeline) -> Own:
        """A training states all three."""
        return Own(role=self.role, seeds=self.seeds, data=self.data)

    def given_model(self) -> Component:
        """The model that is trained."""
        return self.model

    def follows(self) -> str | None:
        """A training follows no other stage, not even the one it starts from."""
        return None

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """``start`` and ``configuration``."""
        found = self.model_references()
        return found if self.configuration is None else {**found, "configuration": self.configuration}

    def settings(self, pipeline: Pipeline) -> TrainSettings:
        """Everything that decides the training, and how often it saves."""
        return TrainSettings(
            model=resolved_component("model", self.model),
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=resolved_component("optimizer", self.optimizer),
            schedule=resolved_component("schedule", self.schedule),
            loss={name: resolved_term(name, term, self.teachers()) for name, term in self.loss.items()},
            augment=resolved_augment(self.augment),
            sampling=self.sampling,
            mixup=resolved_option(self.mixup, stage_spec.MixingSettings),
            cutmix=resolved_option(self.cutmix, stage_spec.MixingSettings),
            ema=resolved_option(self.ema, stage_spec.Ema),
            clip=self.clip,
            accumulate=self.accumulate,
            early_stopping=resolved_option(self.early_stopping, stage_spec.EarlyStopping),
            attack=resolved_option(self.attack, stage_spec.Attack),
            prune=self.prune,
            modalities=tuple(self.modalities) if self.modalities else None,
            int8_aware=self.int8_aware,
            no_decay=self.no_decay,
            norm_bias_lr=self.norm_bias_lr,
            precision=self.precision,
            deterministic=self.deterministic,
            compile=self.compile,
            checkpoint_every=self.checkpoint_every,
            track=tuple(self.track),
            draw=resolved_draw(self.draw),
        )

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """Two epochs of a few images, at a learning rate that is safe with teachers of a few steps."""
        gpus = pipeline.resources.gpus if self.resources.gpus is None else self.resources.gpus
        update: dict[str, object] = {
            "seeds": seeds,
            "model": tiny.shrunk_model(self.model),
            "epochs": min(self.epochs, tiny.EPOCHS),
            "batch_size": min(self.batch_size, tiny.BATCH * (gpus or 1)),
            "optimizer": tiny.shrunk_optimizer(self.optimizer),
            "schedule": tiny.shrunk_schedule(self.schedule),
            "augment": tiny.shrunk_augment(self.augment),
            "checkpoint_every": tiny.EPOCHS,
            "resources": tiny.shrunk_resources(self.resources),
            "data": tiny.shrunk_data(self.data) if self.data else None,
        }
        return self.model_copy(update=update)

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the parts, with the loss, with the sizes, and with ``start``."""
        address: Address = ("stages", name)
        yield from repeated_seed_faults(self.seeds or [], (*address, "seeds"))
        for part, component in (("model", self.model), ("optimizer", self.optimizer), ("schedule", self.schedule)):
            yield from component_faults(part, component, address)
        yield from augment_faults(self.augment, declared_shape(self.data or pipeline.data), (*address, "augment"))
        yield from self._epoch_faults(address)
        if self.epochs:
            yield from drop_faults(self.schedule, self.epochs, (*address, "schedule"))
        yield from loss_faults(self.terms(), self.teachers(), (*address, "loss"), share_one=self.weights_share_one)
        yield from mixing_faults(self.terms(), self.mixing, (*address, "loss"))
        if self.data is not None:
            yield from data_faults(self.data, (*address, "data"))
        yield from self._size_faults(pipeline, address)
        yield from self._shape_faults(pipeline, address)
        if self.prune is not None and self.start is None:
            yield (*address, "prune"), "only a trained model can be pruned; name its stage with 'start'"
        if self.start is not None:
            yield from model_faults(pipeline, name, self.start, (*address, "start"))
            yield from self._start_faults(pipeline, self.start, address)
        if self.configuration is not None:  # whether its settings fit this stage is checked by the search
            yield from search_reference_faults(pipeline, name, self.configuration, (*address, "configuration"))

    def _epoch_faults(self, address: Address) -> Iterator[Fault]:
        if self.epochs == 0 and self.teachers():
            yield (*address, "epochs"), "epochs: expected more than 0: a student that learns nothing needs no teacher"
        elif self.epochs == 0 and self.start is None and not self.model.arguments.get("pretrained"):
            yield (*address, "epochs"), "epochs: 0 measures a trained model as it is; name one: 'pretrained' or 'start'"

    def _size_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        """Yield what GPUs cannot share or capture, and a batch beyond all images."""
        gpus = pipeline.resources.gpus if self.resources.gpus is None else self.resources.gpus
        if self.compile == "graph":
            where = (*address, "compile")
            losses = sorted({loss for _, loss, _ in self.terms()})
            yield from capture_faults(gpus=gpus, precision=self.precision, losses=losses, address=where)
        if gpus and self.batch_size % gpus:
            message = f"a batch of {self.batch_size} images cannot be shared equally by {gpus} GPUs"
            yield (*address, "batch_size"), message
        data = self.data or pipeline.data
        left = data.train_subset - data.validation_images(data.train_subset) if data.train_subset else None
        if left is not None and 0 < left < self.batch_size:
            yield (*address, "batch_size"), f"the batch of {self.batch_size} exceeds the {left} images left to train on"

    def _shape_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        """Yield modalities that the images have not, and losses of one class where there are several labels."""
        shape = declared_shape(self.data or pipeline.data)
        if shape is None:
            return
        for index, name in enumerate(self.modalities or []):
            if name not in shape.modalities:
                has = did_you_mean(name, shape.modalities) or ": they have only one"
                yield (*address, "modalities", index), f"the images have no modality '{name}'{has}"
        yield from label_faults(self.terms(), self.sampling, address, multi_label=shape.multi_label)

    def _start_faults(self, pipeline: Pipeline, start: str, address: Address) -> Iterator[Fault]:
        """Yield where the stage says something else of its model than the stage that it starts from."""
        before = trainings_behind(pipeline, start)
        given = [pipeline.stages[start].given_model()] if start in pipeline.stages else []
        models = [*(training.model for training in before), *filter(None, given)]
        if others := [model.name for model in models if model != self.model]:
            yield (*address, "model"), f"stage '{start}' trains another model ({others[0]}); give both the same"
        if not before:
            return
        if any(training.modalities != self.modalities for training in before):
            yield (*address, "start"), f"stage '{start}' sees other modalities of an image; give both the same"
        ours, theirs = self.data or pipeline.data, data_of(pipeline, start)
        if (ours.name, ours.root) != (theirs.name, theirs.root):
            kind = "distilled" if self.teachers() else "trained"
            message = f"stage '{start}' learns {theirs.name}; it cannot be {kind} further on {ours.name}"
            yield (*address, "start"), message


def training_at(pipeline: Pipeline, name: str) -> TrainStage | None:
    """Return the training (or distillation) that stands under a name; None for another stage, or for none."""
    stage = pipeline.stages.get(name)
    return stage if isinstance(stage, TrainStage) else None


def trainings_behind(pipeline: Pipeline, name: str) -> Sequence[TrainStage]:
    """Return the trainings of which one made a stage's model: the stage itself, or the candidates of a selection."""
    names = pipeline.stages[name].candidates(name) if name in pipeline.stages else []
    return [training for each in names if (training := training_at(pipeline, each))]
