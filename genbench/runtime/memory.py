"""Lack of memory, recognised wherever torch, numpy or Python report it, and explained with its remedy
(imports no torch).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from genbench.errors import OutOfMemory

__all__ = ["FREE", "is_out_of_memory", "memory_for", "next_accumulate", "smaller_evaluation"]

SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "bad_alloc")
"""Signs in the text of errors from CUDA, MPS and the CPU's allocators, from cuBLAS, and from C++."""
FREE = "free memory on that device, or train a smaller network"
"""The remedy where no batch can be made smaller."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for the errors of a lack of memory, which have no common type: MemoryError, torch's
    OutOfMemoryError, and RuntimeErrors of allocators, cuBLAS and C++ that say so in their text.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def memory_for(work: str, remedy: str) -> Iterator[None]:
    """Turn a lack of memory inside the block into one message: for what, what torch says, what to change.

    work: what is done, with its batch size and device. Raises OutOfMemory; one from within passes unchanged.
    """
    try:
        yield
    except OutOfMemory:
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory in {work} ({reason(error)}): {remedy}") from None


def reason(error: BaseException) -> str:
    """The first line of what an error says, without the place in torch's sources."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition("] err == 0. ")[2].rstrip(".")


def smaller_evaluation(batch_size: int) -> str:
    """Return the remedy, for a message, where an evaluation's batches of `batch_size` images do not fit into
    memory: half the batch, or free memory where a batch is one image.
    """
    if batch_size == 1:
        return FREE
    return (
        "free memory on that device, or measure the trained model in smaller batches by "
        f"`genbench evaluate RUN --set metrics.batch_size={batch_size // 2}`"
    )


def next_accumulate(batch_size: int, accumulate: int, processes: int) -> int | None:
    """Find the least trainer.accumulate that at least halves the part of a batch that one process computes at
    a time, batch_size / (accumulate * processes) images; None where a part is one image already.
    """
    legal = range(2 * accumulate, batch_size // processes + 1)
    return next((k for k in legal if batch_size % (k * processes) == 0), None)
