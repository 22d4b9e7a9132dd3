"""Limits of whole numbers that multiply work or memory: more would run for days, or fill any machine."""

__all__ = ["MOST_CHANNELS", "MOST_KERNEL", "MOST_LAYERS", "MOST_PASSES", "MOST_TOKENS", "check_count"]

MOST_CHANNELS = 2**14
"""Numbers of a vector or channels of a map: a matrix between two of them takes 1 GB."""
MOST_KERNEL = 99
"""Side of a convolution, in pixels."""
MOST_LAYERS = 1000
"""Blocks, or steps of a flow."""
MOST_PASSES = 10_000
"""Passes of a network for one sample or one likelihood."""
MOST_TOKENS = 2**18
"""Tokens that differ: codes of a codebook, levels of a pixel."""


def check_count(key: str, value: int, most: int, *, least: int = 1, usual: int) -> None:
    """Raise ValueError unless a whole number is from `least` to `most`, both legal.

    key: its place in the configuration, with which the message begins. usual: a sensible one, as an example.
    """
    if not least <= value <= most:
        raise ValueError(f"{key} is {value}; it must be from {least} to {most:,}, e.g. {usual}")
