"""Lack of memory, recognised wherever torch, numpy or Python report it, and explained with its remedy
(imports no torch).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from genbench.errors import OutOfMemory

__all__ = [
    "FREE",
    "check_memory",
    "free_in_groups",
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
GROUP_FILES = (
    ("memory.max", "memory.current", ""),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)
"""Files of a control group, in version 2 and 1: its limit, what it uses, and the prefix of those names in
memory.stat that count the groups within it too."""
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
    """Return the bytes of memory that this process can still have without swapping: as Linux estimates them
    for the machine (all that it has where the system does not tell), or less where the limit of a container
    or of a cluster's job leaves less.
    """
    lines = read_lines(Path("/proc/meminfo"))
    found = (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return min([next(found, installed_memory()), *free_in_groups()])


def free_in_groups(
    mounted: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """List the bytes that each control group with a limit still allows to this process: its own group and
    those around it, in versions 1 and 2 of Linux's cgroups. Empty where there is none, or none can be read.

    mounted: the folder of all groups. own: the file that names those of this process.
    """
    found = []
    for line in read_lines(own):
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mounted / "memory" if controllers else mounted
        inner = PurePosixPath(path.lstrip("/"))
        # In a container the path may be that of the host, while the folder has the container's group alone.
        found += [free_of_group(root / group) for group in (inner, *inner.parents)]
    return [free for free in found if free is not None]


def free_of_group(folder: Path) -> int | None:
    """Return the bytes that the control group of a folder still allows, at least 0; None without a limit.
    Pages of files are not counted as used: the kernel drops them before it ends a process.
    """
    for limit, usage, prefix in GROUP_FILES:
        bound, used = (read_lines(folder / name) for name in (limit, usage))
        if not (bound and used and bound[0].isdecimal() and used[0].isdecimal()):  # absent, or "max"
            continue
        facts = dict(line.split(" ", 1) for line in read_lines(folder / "memory.stat") if " " in line)
        pages = [facts.get(f"{prefix}{kind}_file", "0") for kind in ("active", "inactive")]
        cached = sum(int(count) for count in pages if count.isdecimal())
        return max(int(bound[0]) - max(int(used[0]) - cached, 0), 0)
    return None


def read_lines(path: Path) -> list[str]:
    """Read the lines of a file of the system; none where it is absent or cannot be read."""
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):  # ValueError: not UTF-8
        return []


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
