"""Lack of memory, recognised wherever torch, numpy or Python report it, and explained with its remedy
(imports no torch).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genbench.errors import OutOfMemory

__all__ = [
    "FREE",
    "check_memory",
    "free_memory",
    "installed_memory",
    "is_out_of_memory",
    "larger_batch",
    "memory_for",
    "next_accumulate",
    "smaller_evaluation",
]

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


def free_memory() -> int:
    """Return the bytes of memory that programs can still have on this machine without swapping, as Linux
    estimates them; all that the machine has where the system does not tell.
    """
    facts = Path("/proc/meminfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    found = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return next(found, installed_memory())


def installed_memory() -> int:
    """Return the bytes of memory that this machine has; limits of a container are not read."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(key: str, count: int, each: float, *, free: int | None = None) -> None:
    """Raise ValueError where `count` items of at least `each` bytes do not fit into memory, before any work.
    key: the setting that asks for so many, named in the message. free: bytes there are; None: those of the
    machine.
    """
    free = free_memory() if free is None else free
    if count * each > free:
        raise ValueError(
            f"{key} is {count}, which takes at least {count * each / 1e9:,.3g} GB of memory, and "
            f"{free / 1e9:,.3g} GB are free: take at most {int(free / each)}"
        )


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


def larger_batch(peak: int, total: int, batch_size: int) -> str:
    """Advise a larger batch where a training of `batch_size` leaves nine tenths of a GPU's memory unused:
    one sentence; empty where it does not.

    peak, total: bytes that the training takes at most, and that the GPU has. The batch that is named takes at
    most half of the memory, as if all that is held grew with it, and is at most 8 times as large.
    """
    if peak * 10 >= total:
        return ""
    factor = max(size for size in (2, 4, 8) if size == 2 or peak * size * 2 <= total)
    return (
        f"trainer.batch_size={batch_size} takes {peak / 1e9:.3g} of the {total / 1e9:.3g} GB of this GPU: "
        f"trainer.batch_size={batch_size * factor}, or several jobs at once, would use more of it. Larger "
        "batches make fewer updates of the same budget.images, so optim.lr may have to grow."
    )


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
