"""Guidance by a worse model of the same kind, that of another run.

It is no part of genbench.app's own names, since its annotations need torch at import.
"""

from collections.abc import Sequence

from genbench.diffusion.autoguidance import AutoGuidance
from genbench.diffusion.guidance import GuidedProcess
from genbench.families.diffusion import Denoising
from genbench.generator import Generator

__all__ = ["autoguidance"]


def autoguidance(
    num_classes: int,
    guide: Generator,
    *,
    scale: float = 2.0,
    interval: Sequence[float] = (0.0, 1.0),
) -> AutoGuidance:
    """Return the guidance of a model by a worse one of the same kind, see AutoGuidance.

    num_classes: of the model. guide: the worse model, less trained or smaller, whose network alone is used,
    without its own guidance. scale, interval: as AutoGuidance has them.
    Raises ValueError where it is no diffusion or flow matching model of the same labels, or takes text; what
    else differs is found when the model is built.
    """
    process = guide.process if isinstance(guide, Denoising) else None
    if not isinstance(guide, Denoising) or not isinstance(process, GuidedProcess):
        raise ValueError(
            "guidance.guide is no model of diffusion or flow matching, and no other can guide: give a run of "
            "model=ddpm or model=flow_matching, of the same kind as the model, less trained or smaller"
        )
    if guide.takes_text:
        raise ValueError("guidance.guide is a model of text: give a run of labels or of none")
    if guide.num_classes != num_classes:
        raise ValueError(
            f"guidance.guide has {guide.num_classes} classes, and this model {num_classes}: give a run with "
            "the same `conditional`"
        )
    frozen = guide.requires_grad_(False).eval()
    return AutoGuidance(frozen.network, process, shape=guide.shape, scale=scale, interval=interval)
