"""Scale of the loss under float16: gradients that float16 would round to 0 are computed times a factor, which
shrinks where they overflow and grows where they do not.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench.generator import Generator
from genbench.runtime.precision import LossScaling

__all__ = ["LossScaler", "loss_scalers", "overflow_summary"]

FACTOR = 2.0  # by which the scale shrinks and grows; a power of two rounds nothing


class LossScaler:
    """The scale of the loss of one phase, and how often its gradient overflowed.

    An update whose loss is finite and whose gradient is not overflowed: it is skipped and the scale halved.
    After growth_interval updates in a row without one, the scale doubles. Everything remains on the device,
    so that no step waits for it; tensors are (), float32 the scale and int64 the counts.
    Source: Micikevicius et al. 2018, Section 3.2; equal to torch.amp.GradScaler, which reads the flag of an
    optimizer without fused kernel once more, and takes a loss that is itself not finite for an overflow.
    """

    def __init__(self, settings: LossScaling, device: torch.device) -> None:
        self.settings = settings
        self.scale = torch.full((), settings.init_scale, device=device)
        self.streak = torch.zeros((), dtype=torch.int64, device=device)
        self.overflows = torch.zeros((), dtype=torch.int64, device=device)

    def unscale(self, gradients: Sequence[Tensor]) -> None:
        """Divide gradients by the scale, in place, which is exact for normal numbers."""
        torch._foreach_mul_(list(gradients), 1 / self.scale)

    def update(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Note whether an update overflowed, given its loss and the norm of its unscaled gradient, () each,
        and set the scale of the next; a loss that is not finite changes nothing.

        Returns the norm of the gradient that the weights moved by, (): 0 after an overflow, but the infinite
        norm itself where the scale is the least already, which ends the training.
        """
        at_least = self.scale <= self.settings.min_scale
        overflowed = loss.isfinite() & ~norm.isfinite()
        streak = torch.where(overflowed, 0, self.streak + loss.isfinite())
        grows = streak >= self.settings.growth_interval
        # Not beyond float32, which training never needs, but a scale that stays there could not shrink.
        larger = torch.where((self.scale * FACTOR).isfinite() & grows, self.scale * FACTOR, self.scale)
        smaller = (self.scale / FACTOR).clamp_min(self.settings.min_scale)
        self.scale = torch.where(overflowed, smaller, larger)
        self.streak = torch.where(grows, 0, streak)
        self.overflows = self.overflows + overflowed
        return torch.where(overflowed & ~at_least, 0.0, norm)

    def values(self) -> dict[str, Tensor]:
        """Return the scale of the next update, () on the device, under its name in the log."""
        return {"loss_scale": self.scale}

    def state(self) -> dict[str, float]:
        """Return scale, streak and overflows as numbers, for a checkpoint; it waits for the device."""
        return {
            "scale": float(self.scale),
            "streak": int(self.streak),
            "overflows": int(self.overflows),
        }

    def load(self, state: dict[str, float]) -> None:
        """Set scale, streak and overflows from a checkpoint, as `state` returned them, on the device."""
        self.scale.fill_(state["scale"])
        self.streak.fill_(state["streak"])
        self.overflows.fill_(state["overflows"])


def loss_scalers(
    settings: LossScaling | None, model: Generator, device: torch.device
) -> dict[str, LossScaler]:
    """Make the scale of each phase that trains a network under autocast; others, such as that of a
    discriminator, have gradients in float32 alone and need none. None: no phase has one.
    """
    if settings is None:
        return {}
    lowered = {parameter for network in model.autocast_networks() for parameter in network.parameters()}
    phases = [phase for phase in model.phases if not lowered.isdisjoint(model.phase_parameters(phase))]
    return {phase: LossScaler(settings, device) for phase in phases}


def overflow_summary(overflows: int, updates: int) -> str:
    """Return one sentence on how many of all updates were skipped since their gradient overflowed float16."""
    return (
        f"{overflows:,} of {updates:,} updates were skipped: their gradient overflowed float16, after which "
        "the scale of the loss was halved."
    )
