"""Budget of a training, in images, seconds or floating-point operations, and the share of it that is spent,
by which learning rates and stages go.
"""

import math
from dataclasses import dataclass, replace

__all__ = ["Budget", "NoTraining", "crossed"]


@dataclass(frozen=True)
class Budget:
    """The first limit reached ends the training; the step that reaches it is finished.

    images: images seen, over all phases (a GAN's discriminator sees its own). None is no limit.
    seconds: wall-clock seconds of training, over all sessions. None is no limit.
    flops: operations of training, forward and backward, counted on one batch. None is no limit.
    until: a value of `objective`, "fid" say, on the validation images, at which the training ends before its
    limits; None is no such end. Learning rates and stages go by the limits alone.
    """

    images: int | None = None
    seconds: float | None = None
    flops: float | None = None
    until: float | None = None
    objective: str = "fid"

    def __post_init__(self) -> None:
        limits = {"images": self.images, "seconds": self.seconds, "flops": self.flops}
        if all(value is None for value in limits.values()):
            also = "" if self.until is None else f": budget.until={self.until:g} may never be reached"
            raise ValueError(
                f"budget.images, .seconds and .flops are all null; give one of them a number{also}"
            )
        for name, value in limits.items():
            if value is not None and not value > 0:
                raise ValueError(f"budget.{name} is {value}; it must be above 0, or null for no limit")
        if self.until is not None and not math.isfinite(self.until):
            raise ValueError(
                f"budget.until is {self.until}; it must be a finite number, or null for no target"
            )

    @property
    def awaited(self) -> str | None:
        """The number that the training ends by, "fid" say, None without a target."""
        return None if self.until is None else self.objective

    def in_images(self, flops_per_image: float) -> "Budget":
        """Return the same budget with its operations as the images that they suffice for, at flops_per_image
        operations, forward and backward; the lower of two limits on images counts.
        """
        if self.flops is None:
            return self
        images = max(int(self.flops / flops_per_image), 1)
        return replace(self, images=images if self.images is None else min(images, self.images), flops=None)

    def spent(self, images_seen: int, seconds: float) -> float:
        """Return the share of the budget that is spent after so many images and seconds, the larger of both;
        1 or more is the end of the training.
        """
        of_images = images_seen / self.images if self.images is not None else 0.0
        of_seconds = seconds / self.seconds if self.seconds is not None else 0.0
        return max(of_images, of_seconds)


class NoTraining(Budget):
    """The budget of a model without phases, whose weights come from elsewhere: it is spent before the first
    step, and has no limits that could be set.
    """

    def __init__(self) -> None:
        """Leave all limits as they are by default, None."""

    def spent(self, images_seen: int, seconds: float) -> float:
        return 1.0


def crossed(every: int | None, before: int, now: int) -> bool:
    """True where a multiple of `every` lies in (before, now]; never for None."""
    return every is not None and before // every < now // every
