"""Chance for the images of a batch of which this process may hold only a part.

What is drawn for images is drawn for the whole batch, of which a part keeps its rows. What a module learns
outside the gradient it learns once a step, from the rows of all parts and processes. So the number of parts
changes no result but by rounding, unless a loss compares the images of a batch with one another.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench.errors import Lost

__all__ = [
    "Dropout",
    "Part",
    "StepRows",
    "at_work",
    "choice",
    "integers",
    "is_whole",
    "last_part",
    "mean",
    "normal",
    "normal_like",
    "noticed",
    "rows",
    "size",
    "total",
    "uniform",
    "uniform_like",
    "whole",
]


class Part(NamedTuple):
    """Which of how many equal parts of a batch is at work."""

    index: int
    of: int
    last: bool = True
    """Of those that fall to this process."""
    processes: int = 1
    """That are at work on the batch, each on a part at a time."""


WHOLE = Part(0, 1)
AT_WORK: ContextVar[Part] = ContextVar("AT_WORK", default=WHOLE)


@contextmanager
def at_work(part: Part) -> Iterator[None]:
    """Work on a part of a batch."""
    before = AT_WORK.set(part)
    try:
        yield
    finally:
        AT_WORK.reset(before)


@contextmanager
def noticed() -> Iterator[None]:
    """Say in plain words that a connection to another process broke."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ConnectionError) as error:
        raise Lost(f"another process of this run is gone ({str(error).splitlines()[0]})") from error


def last_part() -> bool:
    """Whether this process has seen its whole share of the batch with the part at work."""
    return AT_WORK.get().last


def first_part() -> bool:
    """True in the first part of this process's share of the batch."""
    part = AT_WORK.get()
    return part.index % (part.of // part.processes) == 0


def is_whole() -> bool:
    """True where the batch is in one part: none falls to another pass or process."""
    return AT_WORK.get().of == 1


def size(n: int) -> int:
    """Rows of the whole batch where a part has n."""
    return n * AT_WORK.get().of


def rows(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """This part's n rows of what `draw` gives for as many rows as the whole batch has: (n, ...)."""
    here = AT_WORK.get()
    return draw(n) if here.of == 1 else draw(n * here.of)[here.index * n : (here.index + 1) * n]


def normal(
    n: int,
    shape: Sequence[int] = (),
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    rng: Generator | None = None,
) -> Tensor:
    """N(0, 1) for each of n images: (n, *shape). rng None is torch's own."""
    return rows(n, lambda m: torch.randn(m, *shape, generator=rng, dtype=dtype, device=device))


def uniform(
    n: int,
    shape: Sequence[int] = (),
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    rng: Generator | None = None,
) -> Tensor:
    """U[0, 1) for each of n images: (n, *shape)."""
    return rows(n, lambda m: torch.rand(m, *shape, generator=rng, dtype=dtype, device=device))


def integers(
    n: int,
    shape: Sequence[int] = (),
    *,
    low: int,
    high: int,
    device: torch.device,
    rng: Generator | None = None,
) -> Tensor:
    """Whole numbers from low to high - 1 for each of n images: (n, *shape) int64."""
    return rows(n, lambda m: torch.randint(low, high, (m, *shape), generator=rng, device=device))


def choice(p: Tensor, *, rng: Generator | None = None) -> Tensor:
    """An outcome for each row of probabilities p (B, K): (B, 1) int64.

    A part takes argmax p_k / q_k, q_k ~ Exp(1), which is how torch.multinomial makes a single draw.
    """
    if AT_WORK.get().of == 1:
        return torch.multinomial(p, 1, generator=rng)
    q = rows(len(p), lambda n: torch.empty_like(laid_out(p, n)).exponential_(generator=rng))
    return (p / q).argmax(1, keepdim=True)


def normal_like(x: Tensor) -> Tensor:
    """N(0, 1) in the shape and layout of a batch x (B, ...)."""
    return rows(len(x), lambda n: torch.randn_like(laid_out(x, n)))


def uniform_like(x: Tensor) -> Tensor:
    """U[0, 1) in the shape and layout of a batch x (B, ...)."""
    return rows(len(x), lambda n: torch.rand_like(laid_out(x, n)))


class Dropout(nn.Module):
    """As torch's; each part of a batch takes its rows of one mask. Raises ValueError unless 0 <= p < 1."""

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"network.dropout is {p}; it must be at least 0 and below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if AT_WORK.get().of == 1 or not self.training or not self.p:
            return F.dropout(x, self.p, self.training)
        return x * rows(len(x), lambda n: F.dropout(torch.ones_like(laid_out(x, n)), self.p))


def laid_out(x: Tensor, n: int) -> Tensor:
    """An empty batch of n in the layout of x (B, ...), since chance fills memory in its own order."""
    if n == len(x):
        return x
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((n, *x.shape[1:]), dtype=x.dtype, device=x.device, memory_format=layout)


def whole(x: Tensor) -> Tensor:
    """The rows of all processes that are at work on the batch, of which x (B, ...) are this one's."""
    processes = AT_WORK.get().processes
    if processes == 1:
        return x
    found = [torch.empty_like(x) for _ in range(processes)]
    with noticed():
        dist.all_gather(found, x.contiguous())
    return torch.cat(found)


class StepRows:
    """The rows that a module learns from in one step, held until the last part has added its own.

    A batch in parts then moves the module once, by the same rows in the same order as the whole batch would.
    """

    def __init__(self) -> None:
        self.held: list[Sequence[Tensor]] = []

    def complete(self, rows: Sequence[Tensor]) -> list[Tensor] | None:
        """Add a part's rows, (n, ...) each; returns the batch's, (B, ...) each, after the last."""
        self.held = [rows] if first_part() else [*self.held, rows]
        if not last_part():
            return None
        held, self.held = self.held, []
        return [
            whole(torch.cat(column) if len(column) > 1 else column[0]) for column in zip(*held, strict=True)
        ]


def total(x: Tensor) -> Tensor:
    """The sum of x over the processes that are at work on the batch."""
    if AT_WORK.get().processes > 1:
        x = x.clone()
        with noticed():
            dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """The mean of x over the processes that are at work on the batch."""
    return total(x) / AT_WORK.get().processes
