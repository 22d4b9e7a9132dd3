"""Batches whose loss or gradient is not finite: named by phase and step, and skipped, within bounds, where
trainer.on_nonfinite=skip asks for it. Batches whose gradient is large: skipped by trainer.skip_grad_norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from genbench.generator import Loss

__all__ = ["Guard", "NotFinite", "Skips", "describe_update", "mean", "values_of"]

IN_A_ROW = 10
"""The most batches in a row that are skipped: after as many, the weights are to blame, not the batches."""
SHARE = 0.05
"""The most of all batches that are skipped, once they are more than `IN_A_ROW`."""
NONE_ADMITTED = 100
"""Batches of a phase without a single update after which trainer.skip_grad_norm is too low to train it."""


class NotFinite(FloatingPointError):  # noqa: N818 (it says what is the matter)
    """The loss or the gradient of one batch is not finite. Without this batch the training could go on, so
    its message can offer trainer.on_nonfinite=skip.
    """


@dataclass
class Skips:
    """Counts of batches that made no update: since their loss or gradient was not finite, in all and the
    last ones without a break, and since their gradient was large. A checkpoint holds them.
    """

    total: int = 0
    in_a_row: int = 0
    large: int = 0
    unmoved: dict[str, int] = field(default_factory=dict)
    """Batches of each phase of too large a gradient before its first update; 0 from that update on."""

    def summary(self, batches: int) -> list[str]:
        """Return sentences on how many of all batches were skipped and why; none where none was."""
        reasons = {
            "their loss or gradient was not finite": self.total,
            "the norm of their gradient reached trainer.skip_grad_norm": self.large,
        }
        return [f"{n:,} of {batches:,} batches were skipped: {why}." for why, n in reasons.items() if n]


class Guard:
    """Skips batches that are not finite, if `nonfinite` asks for it, and those whose gradient has a norm of
    `norm` or more; else it lets every batch pass, and costs nothing.

    A skipped batch leaves the weights, the optimizer and the buffers of the model as they were. Every process
    of a run decides alike, since they are given the same mean loss and norm. To read them stalls a GPU.
    """

    def __init__(self, model: nn.Module, skips: Skips, *, nonfinite: bool, norm: float | None) -> None:
        self.model, self.skips, self.nonfinite, self.norm = model, skips, nonfinite, norm
        self.active = nonfinite or norm is not None
        saved = model.state_dict() if self.active else {}  # buffers that no checkpoint holds are constants
        self.buffers = {name: buffer for name, buffer in model.named_buffers() if name in saved}
        self.before: dict[str, Tensor] = {}

    def remember(self) -> None:
        """Copy the values of the buffers before a batch, which its forward pass may change."""
        self.before = {name: buffer.clone() for name, buffer in self.buffers.items()}

    def counts(self) -> dict[str, float]:
        """Return the counts of skipped batches by their names in the log, of what this guard skips."""
        counts: dict[str, float] = {"skipped_batches": self.skips.total} if self.nonfinite else {}
        return counts | ({} if self.norm is None else {"large_gradients": self.skips.large})

    def admits(self, values: Mapping[str, Tensor], *, phase: str, step: int, batches: int) -> bool:
        """Return False for a batch that is skipped, which it counts; True for any other.

        values: () each, by name, with "loss" and "grad_norm". batches: how many there were, with this one.
        Raises FloatingPointError where too many are skipped.
        """
        finite = not self.active or bool(values["loss"].isfinite() & values["grad_norm"].isfinite())
        large = finite and self.norm is not None and not bool(values["grad_norm"] < self.norm)
        if finite:
            self.skips.in_a_row = 0
        if not large and (finite or not self.nonfinite):
            self.skips.unmoved[phase] = 0
            return True
        self.model.load_state_dict(self.before, strict=False)  # its hooks tell modules that keep flags
        if large:
            self.count_large(phase, float(values["grad_norm"]))
            return False
        self.skips.total += 1
        self.skips.in_a_row += 1
        if self.skips.in_a_row > IN_A_ROW or self.skips.total > max(IN_A_ROW, SHARE * batches):
            raise FloatingPointError(
                f"{describe_update(values, phase, step)}; trainer.on_nonfinite=skip skips at most "
                f"{IN_A_ROW} batches in a row and {SHARE:.0%} of all, and {self.skips.total} of {batches} "
                f"were such, {self.skips.in_a_row} of them in a row"
            )
        return False

    def count_large(self, phase: str, norm: float) -> None:
        """Count a batch of a large gradient, of this norm; raise FloatingPointError where none of the first
        ones of its phase made an update.
        """
        self.skips.large += 1
        if (before := self.skips.unmoved.get(phase)) == 0:  # it made an update once
            return
        self.skips.unmoved[phase] = batches = (before or 0) + 1
        if batches >= NONE_ADMITTED:
            raise FloatingPointError(
                f"the norm of the gradient reached trainer.skip_grad_norm={self.norm:g} in each of the first "
                f"{batches} batches of phase {phase!r}, {norm:.4g} in the last one: set it higher, or to null"
            )


def values_of(losses: list[Loss], loss: Tensor, grad_norm: Tensor) -> dict[str, Tensor]:
    """Collect the numbers of one update, () each on the device, by name: "loss", its mean over all processes;
    the terms of the loss, of this process; "grad_norm".
    """
    terms = {name: mean([loss.terms[name] for loss in losses]) for name in losses[0].terms}
    return {"loss": loss, **terms, "grad_norm": grad_norm}


def describe_update(values: Mapping[str, Tensor], phase: str, step: int) -> str:
    """Name the phase and the step at which a training was not finite, with the numbers of that update by
    name, as the first sentence of an error.
    """
    shown = ", ".join(f"{name}={float(value):.4g}" for name, value in values.items())
    overflows = "loss_scale" in values and bool(values["loss"].isfinite())
    why = " (the gradient overflows float16 at the least loss scale: use bf16 or fp32)" if overflows else ""
    return f"not finite in phase {phase!r} at step {step}: {shown}{why}"


def mean(values: list[Tensor]) -> Tensor:
    """Average () tensors: their sum / their number; one alone is returned as it is, bit for bit."""
    return torch.stack(values).mean() if len(values) > 1 else values[0]
