"""What a model costs: network passes, parameters, memory."""

import resource
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["PassCounter", "parameter_count", "peak_memory_bytes"]


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
        """The hook: add the batch size of the first tensor that went in."""
        self.rows += next(len(value) for value in (*inputs, *named.values()) if isinstance(value, Tensor))

    def passes(self, n: int) -> float:
        """Network passes a sample, where n samples were drawn."""
        return self.rows / n


def parameter_count(module: nn.Module) -> int:
    """Number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held so far: by torch's tensors on a GPU, else by the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
