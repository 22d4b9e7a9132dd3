"""Learning rate over a training: a linear warm-up, then a decay over the share of the budget used."""

import math
from abc import ABC, abstractmethod

__all__ = ["Constant", "Cosine", "Exponential", "Linear", "LrSchedule"]


class LrSchedule(ABC):
    """A factor on the optimizer's learning rate: scale * min(images_seen / warmup_images, 1) * decay(spent),
    with decay by the subclass; warmup_images = 0 is no warm-up, scale a factor on all rates of a model.
    """

    def __init__(self, warmup_images: int = 0, scale: float = 1.0) -> None:
        if warmup_images < 0:
            raise ValueError(f"lr_schedule.warmup_images is {warmup_images}; it must be 0 or more")
        if not 0 < scale < math.inf:
            raise ValueError(f"lr_schedule.scale is {scale}; it must be above 0, such as 0.3 or 3")
        self.warmup_images, self.scale = warmup_images, scale

    def factor(self, images_seen: int, spent: float) -> float:
        """Return the factor for the step after `images_seen` images, when the share `spent` (0 to 1) of the
        budget is used up; it multiplies the learning rate that the optimizer was made with.
        """
        warmup = min((images_seen + 1) / self.warmup_images, 1.0) if self.warmup_images else 1.0
        return self.scale * warmup * self.decay(min(spent, 1.0))

    @abstractmethod
    def decay(self, spent: float) -> float:
        """The factor of the decay, 1 at spent = 0."""


class Constant(LrSchedule):
    """No decay: decay(spent) = 1."""

    def decay(self, spent: float) -> float:
        return 1.0


class Exponential(LrSchedule):
    """Half the rate after every `halflife_images` images: 2^(-images_seen / halflife_images), whatever the
    budget. Raises ValueError unless halflife_images is above 0.

    A decay by r a step of B images is halflife_images = B ln 2 / (-ln r).
    """

    def __init__(self, warmup_images: int = 0, scale: float = 1.0, *, halflife_images: float) -> None:
        super().__init__(warmup_images, scale)
        if not halflife_images > 0:
            raise ValueError(
                f"lr_schedule.halflife_images is {halflife_images}; it must be above 0, e.g. 100000"
            )
        self.halflife_images = halflife_images

    def factor(self, images_seen: int, spent: float) -> float:
        return super().factor(images_seen, spent) * 0.5 ** (images_seen / self.halflife_images)

    def decay(self, spent: float) -> float:
        return 1.0


class Linear(LrSchedule):
    """Straight down to 0: decay(spent) = 1 - spent."""

    def decay(self, spent: float) -> float:
        return 1.0 - spent


class Cosine(LrSchedule):
    """(1 + cos(pi spent)) / 2.

    Source: Loshchilov & Hutter 2017, Eq. 5.
    """

    def decay(self, spent: float) -> float:
        return (1.0 + math.cos(math.pi * spent)) / 2.0
