"""Passes of networks that an estimate spares: those after the first few are answered from memory, and what
they would have taken is added to the clock.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.hooks import RemovableHandle

__all__ = ["SparedPasses"]


class Inputs(NamedTuple):
    """All that a network is called with, as one object."""

    values: tuple[Any, ...]
    named: dict[str, Any]


class SparedPasses:
    """Clocks the work of a `with` block, and spares most of it where it takes longer than `patience` seconds.

    A sampler or a solver passes batches of one shape through its network many times. Once the patience is
    over, a network that has seen inputs of these shapes returns its last answer to them again, and the mean
    seconds from one of its passes to the next count instead. What comes out of the block is wrong then, and
    of no use but for its time. The first pass of a shape, which also makes buffers, is left out of the mean
    where there are others. modules: networks, as `Generator.networks` lists them; their forward methods are
    replaced inside the block. Solvers that choose their steps by the answers may take others.
    """

    def __init__(self, modules: Iterable[nn.Module], device: torch.device, *, patience: float) -> None:
        self.modules, self.device, self.patience = list(modules), device, patience
        self.hooks = list[RemovableHandle]()
        self.answers = dict[Any, Any]()
        self.spans = dict[Any, list[float]]()
        self.spared = Counter[Any]()
        self.under_way: tuple[Any, float] | None = None
        self.started = self.elapsed = 0.0

    def __enter__(self) -> "SparedPasses":
        for module in self.modules:
            vars(module)["forward"] = self.sparing(id(module), module.forward)
        self.hooks = [x.register_forward_pre_hook(packed, with_kwargs=True) for x in self.modules]
        self.started = self.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.elapsed = self.close() - self.started
        for module, hook in zip(self.modules, self.hooks, strict=True):
            hook.remove()
            del vars(module)["forward"]

    @property
    def seconds(self) -> float:
        """Seconds that the block would have taken, had no pass been spared."""
        return self.elapsed + sum(count * mean(self.spans[key]) for key, count in self.spared.items())

    @property
    def longest(self) -> float:
        """Mean seconds of the passes of the slowest network and shape; 0 where no network was asked."""
        return max(map(mean, self.spans.values()), default=0.0)

    @property
    def note(self) -> str:
        """Words on the passes that were made, ", from 12 of 50 network evaluations"; "" where all were."""
        measured = sum(len(spans) for spans in self.spans.values())
        whole = measured + self.spared.total()
        return f", from {measured:,} of {whole:,} network evaluations" if self.spared else ""

    def sparing(self, name: int, forward: Callable[..., Any]) -> Callable[[Inputs], Any]:
        """Wrap the forward method of a module, so that it answers from memory once the patience is over."""

        def answer(inputs: Inputs) -> Any:  # noqa: ANN401 (whatever a network returns)
            key, now = (name, shapes(inputs)), self.close()
            if now - self.started > self.patience and key in self.spans:
                self.spared[key] += 1
                return with_gradient(self.answers[key], inputs)
            self.under_way = key, now
            found = forward(*inputs.values, **inputs.named)
            self.answers[key] = tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, found)
            return found

        return answer

    def close(self) -> float:
        """End the pass under way, whose span lasts until the next pass or the end of the block; the time."""
        now = self.now()
        if self.under_way is not None:
            key, begun = self.under_way
            self.spans.setdefault(key, []).append(now - begun)
            self.under_way = None
        return now

    def now(self) -> float:
        """Read the clock once a GPU has done what it was given; a CPU has nothing pending."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def packed(
    module: nn.Module, values: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make one argument of all that a module is called with: a hook as torch calls it."""
    return (Inputs(values, named),), {}


def shapes(inputs: object) -> tuple[Any, ...]:
    """Return the shapes of all tensors among the inputs of a pass, nested as they may be."""
    return tuple(tuple(x.shape) if isinstance(x, Tensor) else None for x in tree_leaves(inputs))


def with_gradient(answer: object, inputs: object) -> Any:  # noqa: ANN401 (whatever a network returns)
    """Copy an answer, and let it depend on the inputs of this pass by a slope of zero, so that a guidance
    or a divergence that differentiates it gets a gradient.
    """
    slopes = [x.flatten()[0] for x in tree_leaves(inputs) if isinstance(x, Tensor) and x.requires_grad]
    zero = sum(0 * slope for slope in slopes)
    return tree_map(lambda x: x + zero if isinstance(x, Tensor) and x.is_floating_point() else x, answer)


def mean(spans: list[float]) -> float:
    """Average the seconds of passes, without the first one where there are others."""
    later = spans[1:] or spans
    return sum(later) / len(later)
