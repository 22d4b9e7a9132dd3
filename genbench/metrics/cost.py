"""The cost of a model: network evaluations, parameters, peak memory."""

import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from genbench.runtime.device import give_memory_back

__all__ = ["PassCounter", "parameter_count", "peak_memory_bytes", "reset_peak_memory"]

PROCESS_CLEAR, PROCESS_STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class PassCounter:
    """Counts the rows that go through some modules inside a `with` block.

    A row is one image of the first tensor's batch, so guidance, which doubles the batch, counts twice.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = list(modules)
        self.rows = 0
        self.handles: list[RemovableHandle] = []

    def __enter__(self) -> "PassCounter":
        self.handles = [module.register_forward_hook(self.count, with_kwargs=True) for module in self.modules]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self.handles:
            handle.remove()

    def count(
        self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: object
    ) -> None:
        """Add the batch size of the first tensor among the inputs of a module: a forward hook as torch calls
        it, so that passes are counted and never declared.
        """
        # Networks are called with keywords, too, and with times or labels that may be no tensors.
        self.rows += next(len(value) for value in (*inputs, *named.values()) if isinstance(value, Tensor))

    def passes(self, n: int) -> float:
        """Network evaluations per sample, rows / n, for n samples that were drawn inside the block; 0 where
        none of the modules was called.
        """
        return self.rows / n


def parameter_count(module: nn.Module) -> int:
    """Count the parameters of a module, single numbers and not tensors, trained or frozen; those that several
    layers share count once, and buffers do not count.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def reset_peak_memory(device: torch.device) -> None:
    """Reset the device's peak memory, so that a run does not report that of an earlier one in its process.

    On a GPU torch's counter is reset, on a CPU that of the process where the system has /proc.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif PROCESS_CLEAR.exists():
        give_memory_back()  # freed pages that the process still holds would count as its peak
        PROCESS_CLEAR.write_text("5")  # resets VmHWM (man 5 proc)


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held since the reset: by torch's tensors on a GPU, else by the whole process.

    Where the system has no /proc, the most since the process began.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if PROCESS_STATUS.exists():
        line = next(line for line in PROCESS_STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kibibytes
