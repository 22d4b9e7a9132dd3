"""Garbage collection at longer intervals, for commands that make very many objects which live on."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["COLLECTED", "few_collections"]

COLLECTED = 10_000
"""New objects after which Python looks for such objects among them, instead of its own 700: some 10 MB."""


@contextmanager
def few_collections() -> Iterator[None]:
    """Let Python look for unreachable objects less often inside the block, for work that makes many small
    objects which live on, such as configurations and records, that it would look through again and again.
    """
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
