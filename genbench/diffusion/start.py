"""The time at which sampling begins."""

__all__ = ["check_start"]


def check_start(start: float) -> None:
    """Raise ValueError unless 0 < start <= 1, the times at which sampling can begin.

    1 is pure noise; less is a noised image, of which a variation is drawn.
    """
    if not 0 < start <= 1:
        raise ValueError(f"start is {start}; it must be above 0 (an image) and at most 1 (pure noise)")
