"""Random numbers and statistics of a batch of which this process may hold only a part.
What is drawn for images is drawn for the whole batch, of which a part takes its rows. What a module learns
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

from genbench.errors import Failure, Lost
from genbench.runtime.memory import is_out_of_memory

__all__ = [
    "Dropout",
    "Part",
    "StepRows",
    "at_work",
    "choice",
    "every",
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
    """The place of the rows at work in their batch: number `index` of `of` equal parts. By default the whole
    batch; the training loop sets it for each part of a batch.
    """

    index: int  # type: ignore[assignment]  # in the place of the method of tuples
    of: int
    last: bool = True
    """Of those that fall to this process."""
    processes: int = 1
    """That are at work on the batch, each on a part at a time."""


WHOLE = Part(0, 1)
CONNECTION = ("gloo", "nccl", "connection closed", "connection reset", "connection refused", "broken pipe")
"""Signs of a lost connection in the text of an error, in lower case."""
AT_WORK: ContextVar[Part] = ContextVar("AT_WORK", default=WHOLE)


@contextmanager
def at_work(part: Part) -> Iterator[None]:
    """Declare inside the block that the rows at work are a part of a batch, which all functions of this
    module then take into account.
    """
    before = AT_WORK.set(part)
    try:
        yield
    finally:
        AT_WORK.reset(before)


@contextmanager
def noticed(*, mixed: bool = False) -> Iterator[None]:
    """Raise Lost, in plain words, where a collective operation inside the block fails since a connection to
    another process broke. A lack of memory and failures that are explained already pass as they are.

    mixed: the block does other work too; there, an error of torch is one of a connection by its type or by
    its words, and in other blocks always.
    """
    try:
        yield
    except (RuntimeError, ConnectionError) as error:
        if isinstance(error, Failure) or is_out_of_memory(error) or (mixed and not is_of_connection(error)):
            raise
        raise Lost(f"another process of this run has ended ({str(error).splitlines()[0]})") from error


def is_of_connection(error: Exception) -> bool:
    """True for an error of torch.distributed or of a socket; torch's engine for gradients raises some of them
    as plain RuntimeErrors, which only their text gives away.
    """
    text = str(error).lower()
    return isinstance(error, dist.DistError | ConnectionError) or any(sign in text for sign in CONNECTION)


def last_part() -> bool:
    """True where the part at work is the last that falls to this process, so that modules which learn from a
    whole batch have then seen their share of it.
    """
    return AT_WORK.get().last


def first_part() -> bool:
    """True in the first part of this process's share of the batch."""
    part = AT_WORK.get()
    return part.index % (part.of // part.processes) == 0


def is_whole() -> bool:
    """True where the batch is in one part: none of it falls to another forward pass or to another process, so
    that no statistic has to be gathered.
    """
    return AT_WORK.get().of == 1


def size(n: int) -> int:
    """Count the rows of the whole batch where the part at work has n: n times the number of parts."""
    return n * AT_WORK.get().of


def every(n: int, k: int) -> slice:
    """Return which of the n rows of the part at work are rows 0, k, 2 k, .. of the whole batch."""
    before = AT_WORK.get().index * n
    return slice(-before % k, None, k)


def rows(n: int, draw: Callable[[int], Tensor]) -> Tensor:
    """Return this part's n rows, (n, ...), of what `draw` gives for as many rows as the whole batch has; so
    each part draws all, and the parts together have the batch's draws.
    """
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
    """Draw N(0, 1) for each of the n images of the part at work: (n, *shape) on `device`, its rows of the
    draws for the whole batch. rng None is torch's own generator.
    """
    return rows(n, lambda m: torch.randn(m, *shape, generator=rng, dtype=dtype, device=device))


def uniform(
    n: int,
    shape: Sequence[int] = (),
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    rng: Generator | None = None,
) -> Tensor:
    """Draw U[0, 1) for each of the n images of the part at work: (n, *shape) on `device`, its rows of the
    draws for the whole batch. rng None is torch's own generator.
    """
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
    """Draw whole numbers from low to high - 1 for each of the n images of the part at work: (n, *shape)
    int64, its rows of the draws for the whole batch. rng None is torch's own generator.
    """
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
    """Draw N(0, 1) in the shape, dtype and memory layout of x (B, ...), the part's rows of the draws for the
    whole batch, by torch's own generator.
    """
    return rows(len(x), lambda n: torch.randn_like(laid_out(x, n)))


def uniform_like(x: Tensor) -> Tensor:
    """Draw U[0, 1) in the shape, dtype and memory layout of x (B, ...), the part's rows of the draws for the
    whole batch, by torch's own generator.
    """
    return rows(len(x), lambda n: torch.rand_like(laid_out(x, n)))


class Dropout(nn.Module):
    """Dropout as torch has it, x -> x m / (1 - p) with m ~ Bernoulli(1 - p); each part of a batch takes its
    rows of one mask. Raises ValueError unless 0 <= p < 1.
    """

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
    """An empty batch of n in the memory layout of x (B, ...), since random numbers fill memory in its own
    order.
    """
    if n == len(x):
        return x
    last = x.dim() == 4 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((n, *x.shape[1:]), dtype=x.dtype, device=x.device, memory_format=layout)


def whole(x: Tensor) -> Tensor:
    """Gather the rows of all processes that are at work on the batch, of which x (B, ...) are this one's: (B
    * processes, ...) in the order of the processes. No gradient passes.
    """
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
        """Add the rows (n, ...) of a part, one tensor for each thing that is learned from; returns the
        batch's, (B, ...) each, with the last part, and None before it.
        """
        self.held = [rows] if first_part() else [*self.held, rows]
        if not last_part():
            return None
        held, self.held = self.held, []
        return [
            whole(torch.cat(column) if len(column) > 1 else column[0]) for column in zip(*held, strict=True)
        ]


def total(x: Tensor) -> Tensor:
    """Sum x over the processes that are at work on the batch, in the shape of x; x itself where this process
    is alone. No gradient passes.
    """
    if AT_WORK.get().processes > 1:
        x = x.clone()
        with noticed():
            dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """Average x over the processes that are at work on the batch, in the shape of x; x itself where this
    process is alone. No gradient passes.
    """
    return total(x) / AT_WORK.get().processes
