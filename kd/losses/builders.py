"""Building what losses own, from outputs that were seen: so no shape is ever written down by hand.

A loss that asks for ``adapter`` has a builder of the same name here. A builder's positional parameters are of the
vocabulary of losses (``kd.losses.inputs``), filled by one dry forward; its keyword-only parameters are arguments that
it shares with the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from kd.errors import SpecError
from kd.losses.adapters import (
    Connectors,
    CrossLayer,
    Factors,
    GaussianRegressors,
    LearnedTemperature,
    MaskedGeneration,
    Regressors,
    ReviewFusion,
)
from kd.losses.contrastive_memory import ContrastiveMemory
from kd.losses.maps import middle, paired


def ab(
    student_preactivations: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    *,
    stages: Sequence[int] | None = None,
) -> Connectors:
    """Return the connectors of the loss of this name."""
    return Connectors(_channels(paired(student_preactivations, teacher_preactivations, stages)))


def ofd(
    student_preactivations: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    teacher_norms: Sequence[tuple[Tensor, Tensor] | None],
    *,
    stages: Sequence[int] | None = None,
) -> Connectors:
    """Return the connectors and margins of the loss of this name. Raises SpecError where there is no batch norm."""
    pairs = paired(student_preactivations, teacher_preactivations, stages)
    count = len(teacher_norms)
    chosen = stages or (range(1, count + 1) if len(pairs) == count else [count])
    norms = [teacher_norms[stage - 1] for stage in chosen]
    given = [norm for norm in norms if norm is not None]
    if len(given) < len(norms):
        raise SpecError(["loss 'ofd' needs batch norms before the teacher's activations, and this teacher has none"])
    return Connectors(_channels(pairs), given)


def mgd(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> MaskedGeneration:
    """Return the generation of the loss of this name."""
    pairs = paired(student_maps, teacher_maps, stages)
    return MaskedGeneration(_channels(pairs if stages else pairs[-1:]))


def ickd(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> Regressors:
    """Return the embeddings of the loss of this name."""
    pairs = paired(student_maps, teacher_maps, stages)
    return Regressors(_channels(pairs if stages else pairs[-1:]))


def srd(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor) -> nn.Linear:
    """Return the projector of the loss of this name."""
    return nn.Linear(student_pooled_BD.shape[1], teacher_pooled_BD.shape[1])


def cc(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor, *, width: int = 128) -> nn.ModuleList:
    """Return the embeddings of the loss of this name: the student's, the teacher's."""
    return nn.ModuleList(nn.Linear(pooled.shape[1], width) for pooled in (student_pooled_BD, teacher_pooled_BD))


def fitnet(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> Regressors:
    """Return the regressors of the loss of this name."""
    pairs = paired(student_maps, teacher_maps, stages)
    return Regressors(_channels(pairs if stages else middle(pairs)))


def vid(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> GaussianRegressors:
    """Return the regressors of the loss of this name."""
    return GaussianRegressors(_channels(paired(student_maps, teacher_maps, stages)))


def review(
    student_maps: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    student_pooled_BD: Tensor,
    teacher_pooled_BD: Tensor,
    *,
    stages: Sequence[int] | None = None,
) -> ReviewFusion:
    """Return the fusion of the loss of this name."""
    pairs = paired(student_maps, teacher_preactivations, stages)
    return ReviewFusion(_channels([*pairs, (student_pooled_BD, teacher_pooled_BD)]))


def crd(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor, labels_N: Tensor) -> ContrastiveMemory:
    """Return the memory of the loss of this name."""
    return ContrastiveMemory(student_pooled_BD.shape[1], teacher_pooled_BD.shape[1], labels_N.cpu())


def ft(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> Factors:
    """Return the paraphraser and the translator of the loss of this name."""
    return Factors(student_maps[-1].shape[1], teacher_maps[-1].shape[1])


def semckd(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor]) -> CrossLayer:
    """Return the regressors and embeddings of the loss of this name, for batches of this size."""
    students, teachers = ([one.shape[1] for one in maps] for maps in (student_maps, teacher_maps))
    return CrossLayer(students, teachers, len(student_maps[0]))


def ctkd() -> LearnedTemperature:
    """Return the temperature of the loss of this name."""
    return LearnedTemperature()


BUILDERS: Mapping[str, Callable[..., nn.Module]] = {
    builder.__name__: builder for builder in (ab, cc, crd, ctkd, fitnet, ft, ickd, mgd, ofd, review, semckd, srd, vid)
}


def _channels(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[int, int]]:
    return [(student.shape[1], teacher.shape[1]) for student, teacher in pairs]
