"""How much a training may spend."""

from dataclasses import dataclass

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """The first limit reached ends the training; the step that reaches it is finished.

    images: images seen, over all phases (a GAN's discriminator sees its own). None is no limit.
    seconds: wall-clock seconds of training, over all sessions. None is no limit.
    """

    images: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.images is None and self.seconds is None:
            raise ValueError("budget.images and budget.seconds are both null; give one of them a number")
        for name, value in (("images", self.images), ("seconds", self.seconds)):
            if value is not None and not value > 0:
                raise ValueError(f"budget.{name} is {value}; it must be above 0, or null for no limit")

    def spent(self, images_seen: int, seconds: float) -> float:
        """The share of the budget that is spent; 1 or more is the end."""
        of_images = images_seen / self.images if self.images is not None else 0.0
        of_seconds = seconds / self.seconds if self.seconds is not None else 0.0
        return max(of_images, of_seconds)
