"""Permission to download weights and data: the user's own command has it, a recorded one has not."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["downloads", "may_download"]

ALLOWED: ContextVar[bool] = ContextVar("ALLOWED", default=False)


@contextmanager
def downloads(*, allowed: bool) -> Iterator[None]:
    """Allow or forbid downloads of weights inside the block; the innermost block decides. Outside of all
    blocks they are forbidden: the configuration of a run that somebody sent could name any address.
    """
    token = ALLOWED.set(allowed)
    try:
        yield
    finally:
        ALLOWED.reset(token)


def may_download() -> bool:
    """Return True where what a configuration names may be downloaded, False where it must be on this machine
    already.
    """
    return ALLOWED.get()
