"""The device that computes: its choice, its name, kernels that give the same bits every time, and the memory
that a process holds on to.
"""

import ctypes
import os
import platform
from pathlib import Path

import torch

__all__ = ["choose", "describe", "give_memory_back", "keep_memory", "make_repeatable", "processor"]

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of glibc's malloc.h


def choose(name: str, *, job: int = 0, together: int = 1) -> torch.device:
    """Choose a device by name: auto is CUDA where there is a GPU, else the CPU; of several GPUs the jobs of a
    sweep take one after the other.
    job: its number in the sweep. together: GPUs that one run asks for. Raises ValueError on what is not
    there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device is {name!r}; it must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch sees no GPU here: use device=auto")
    cards = torch.cuda.device_count() if name == "cuda" else 0
    if name == "cuda" and together > cards:
        raise ValueError(f"trainer.devices is {together}, and torch sees {cards} GPUs here: take fewer")
    return torch.device(name, job % cards) if cards > 1 else torch.device(name)


def describe(device: torch.device, count: int = 1) -> str:
    """Name a device as results record it: the model of the GPU, or cpu with its number of threads; preceded
    by the number of processes where there are several, as in "2 x cpu (4 threads)".
    """
    one = f"cpu ({torch.get_num_threads()} threads)"
    if device.type == "cuda":
        one = torch.cuda.get_device_name(device)
    return one if count == 1 else f"{count} x {one}"


def processor() -> str:
    """Return the model name of the CPU, on Linux from /proc/cpuinfo, elsewhere as Python's platform says;
    empty where the system does not tell. It identifies a machine in a cache of measured rates.
    """
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def make_repeatable(device: torch.device) -> None:
    """Choose kernels that give the same bits every time; torch warns where there is none.

    On a GPU it also sets how float32 rounds, whatever was set before, to torch's own defaults: convolutions
    take factors in TF32 (10 bits) where the GPU has it, matrix products do not.
    On a CPU of several threads, too: the gradient of an indexed tensor would be summed in the order in which
    they come.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    # A search for faults, which takes time; torch makes the attribute when it is imported.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its first call
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False


def keep_memory() -> None:
    """Let freed memory remain with this process, where glibc would return large pieces and fetch them anew.
    Each page that comes back costs a fault: 12,000 a step of Fashion-MNIST's U-Net, 7 percent of its time.
    Source: mallopt(3).
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # Some builds of glibc take no more than 2^25; without it the second call would do harm.
        if libc.mallopt(M_MMAP_THRESHOLD, 2**30) or libc.mallopt(M_MMAP_THRESHOLD, 2**25):
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_memory_back() -> None:
    """Return freed memory to the system, where the C library is glibc. Otherwise the peak of a run would
    contain what an earlier run in the same process freed.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
