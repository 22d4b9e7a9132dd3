"""The progress bar of a training: its length, its unit, and the text beside it."""

import math

from genbench.training.budget import Budget

__all__ = ["done_of", "note_of", "total_of", "unit_of"]


def total_of(budget: Budget) -> int:
    """Length of the progress bar: images where they alone are bounded, seconds where these alone are, 100 per
    cent where both are, since it is not known which of them ends the training.
    """
    if budget.images is not None and budget.seconds is not None:
        return 100
    return budget.images if budget.images is not None else math.ceil(budget.seconds or 0)


def unit_of(budget: Budget) -> str:
    """Unit of the progress bar, as it is printed."""
    if budget.images is not None and budget.seconds is not None:
        return "%"
    return "s" if budget.images is None else "images"


def done_of(budget: Budget, spent: float) -> int:
    """Part of the progress bar that is done, in its own unit."""
    return round(min(spent, 1.0) * total_of(budget))


def note_of(shown: dict[str, float], phases: tuple[str, ...], validated: str = "") -> str:
    """Text beside the progress bar: losses, the latest validation in words, skipped batches, images per
    second.
    """
    names = {phase: f"{phase}/loss" for phase in phases}
    losses = [f"{phase} loss {shown[name]:.4f}" for phase, name in names.items() if name in shown]
    words = {"skipped_batches": "batches skipped", "overflows": "float16 overflows"}
    skipped = [f"{shown[name]:,} {text}" for name, text in words.items() if shown.get(name)]
    rate = f"{shown['images_per_second']:,.0f} images/s"
    return "  ".join([*losses, *filter(None, [validated]), *skipped, rate])
