"""Worker processes of one run: how they divide the work, and what they send each other. All of them call the
same functions; collective methods have to be called by all at the same point.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count as numbers
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.errors import UsageError
from genbench.runtime.global_batch import Part, at_work, noticed
from genbench.runtime.key_value_store import common_host, open_store
from genbench.runtime.plain_bytes import from_bytes, to_bytes
from genbench.runtime.sent_errors import describe_error, rebuild_error

__all__ = ["ALONE", "Processes", "joined", "saved_buffers"]

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE = timedelta(days=7)  # a process that is gone is noticed by its connection, one at work may take long


class Processes:
    """The worker processes of one run, seen from number `index` of `count`; alone, nothing here costs
    anything.

    Each holds the whole model and calls the same functions at the same points; a step's batch is divided
    among them, and so are the batches of an evaluation. store: a key-value store that all of them reach.
    Every method raises Lost where another process is gone.
    """

    def __init__(self, index: int = 0, count: int = 1, *, store: dist.Store | None = None) -> None:
        self.index, self.count, self.store = index, count, store
        # Numbers of the host go by a group of their own, so that no GPU has to be waited for.
        host = dist.new_group(backend="gloo", timeout=PATIENCE) if count > 1 else None
        self.host = cast("dist.ProcessGroup | None", host)  # a number is what processes outside would get
        self.counters = numbers()

    @property
    def first(self) -> bool:
        """True in the one process that writes files and prints; it guards nothing else, since in all other
        respects the processes do the same work.
        """
        return self.index == 0

    def check_batch(self, batch_size: int, accumulate: int) -> None:
        """Raise UsageError unless a batch of batch_size images can be divided into `accumulate` equal parts
        for each process, so that the mean over parts is the mean over the batch.
        """
        if batch_size % (accumulate * self.count):
            raise UsageError(
                f"trainer.batch_size={batch_size} is no multiple of the {self.count} processes times "
                f"trainer.accumulate={accumulate}: change one of them"
            )

    def check_same(self, place: Sequence[float]) -> None:
        """Raise UsageError where this process would resume at another place (step, images seen) than the
        first, which means that it read another file: runs_dir is not a folder that all machines share.
        """
        if self.broadcast_numbers(place) != list(place):
            raise UsageError(
                "this process found a checkpoint other than the first process did: runs_dir must be a folder "
                "that all machines share"
            )

    @property
    def share(self) -> Part:
        """This process's share of a batch, all of its parts together; for what is drawn or learned once a
        batch, before the parts.
        """
        return Part(self.index, self.count, processes=self.count)

    def parts(self, index: Tensor, accumulate: int) -> tuple[list[Part], Tensor]:
        """Split this process's share of a batch's indices (B,) into `accumulate` equal parts: their places in
        the whole batch, and the indices of all of them together, (B / count,).
        """
        of = accumulate * self.count
        mine = range(self.index * accumulate, (self.index + 1) * accumulate)
        places = [Part(number, of, last=number == mine[-1], processes=self.count) for number in mine]
        return places, index if self.count == 1 else index.chunk(self.count)[self.index]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, of floats of any shape, by its mean over the processes, in place; those of one
        dtype travel as one flat tensor. For losses and logged values; gradients go by torch's engine.
        """
        for mine in self.by_dtype(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in mine])
            with noticed():
                dist.all_reduce(flat)
            write_back(flat / self.count, mine)

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, of any dtype and shape, by the first process's, in place, so that weights and
        buffers are the same everywhere whatever each process computed.
        """
        for mine in self.by_dtype(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in mine])
            flat = flat.byte() if flat.dtype == torch.bool else flat
            with noticed():
                dist.broadcast(flat, 0)
            write_back(flat, mine)

    def by_dtype(self, tensors: Iterable[Tensor]) -> Collection[list[Tensor]]:
        """Tensors of one dtype together, which travel as one; none where there is nobody to send them to."""
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors if self.count > 1 else ():
            kinds.setdefault(tensor.dtype, []).append(tensor)
        return kinds.values()

    def broadcast_numbers(self, values: Sequence[float]) -> list[float]:
        """Return the first process's numbers (its clock, its stop request) as floats in all processes; one
        small message by the host's own group, cheap enough for every step.
        """
        if self.count == 1:
            return list(values)
        sent = torch.tensor(values, dtype=torch.float64)
        with noticed():
            dist.broadcast(sent, 0, group=self.host)
        return sent.tolist()

    def broadcast(self, value: Result) -> Result:
        """Return the first process's value in all of them: plain data and tensors of any size, which arrive
        on the CPU (see `runtime.exchange`). The others pass what they have, which is ignored.
        """
        if self.count == 1:
            return value
        data = to_bytes(value) if self.first else torch.empty(0, dtype=torch.uint8)
        # The size first, since the others have to make room.
        size = torch.tensor([len(data)])
        with noticed():
            dist.broadcast(size, 0, group=self.host)
            data = data if self.first else torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(data, 0, group=self.host)
        return from_bytes(data)

    def gather(self, value: Result) -> list[Result]:
        """Return the values of all processes, in the order of their numbers, to the first; none to the
        others.

        value: plain data and tensors, which arrive on the CPU.
        """
        if self.count == 1:
            return [value]
        mine, sizes = to_bytes(value), [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with noticed():
            dist.all_gather(sizes, torch.tensor([len(mine)]), group=self.host)
            longest = max(map(int, sizes))  # torch gathers boxes of one size
            boxes = [torch.empty(longest, dtype=torch.uint8) for _ in sizes] if self.first else None
            dist.gather(F.pad(mine, (0, longest - len(mine))), boxes, dst=0, group=self.host)
        return [from_bytes(box[: int(size)]) for box, size in zip(boxes or [], sizes, strict=False)]

    def raise_together(self, failure: Exception | None = None) -> None:
        """Raise in every process where any of them failed; all call it at the same point, with their own
        failure or None.

        A process that failed raises its own failure, the others that of the first which did, in the order of
        their numbers, rebuilt (see `is_rebuilt`). Without it, those that did not fail would wait for a
        message of one that did.
        """
        found = self.gather(None if failure is None else describe_error(failure))
        first = self.broadcast(next((each for each in found if each is not None), None))
        if first is not None:
            raise failure or rebuild_error(first)

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Do the work on each item, shared among the processes; the first gets the results in the order of
        the items, the others get none.

        Results are plain data and tensors. Items are assigned one by one to whichever process is free, so
        that nobody waits for a slow one. One process alone works as the results are asked for; several have
        done all of it when this returns. What one process raises, all raise.
        """
        if self.count == 1:
            return map(work, items)
        done: list[tuple[int, Result]] = []
        failure: Exception | None = None
        try:
            done.extend((number, work(items[number])) for number in self.assigned(len(items)))
        except Exception as error:
            failure = error
        self.raise_together(failure)  # before the results, of which there may be much
        results = dict(pair for pairs in self.gather(done) for pair in pairs)
        return (results[number] for number in sorted(results))

    def on_first(self, work: Callable[[], Result]) -> Result:
        """Do the work in the first process and return its result, plain data, in all of them.

        For what cannot be divided, such as a score over all samples. What it raises, all raise.
        """
        if self.count == 1:
            return work()
        result: Any = None
        failure: Exception | None = None
        if self.first:
            try:
                result = work()
            except Exception as error:
                failure = error
        self.raise_together(failure)
        return self.broadcast(result)

    def images(self, n: int, y: Any, draw: Callable[[int, Any], Tensor]) -> Tensor:  # noqa: ANN401
        """Draw n images, (n, C, H, W), each process its part of what one would draw; the first gets all of
        them, the others their own part.

        y: n labels or texts, of which slices can be taken, or None; draw(n, y) takes a part of them. Where n
        cannot be divided each process draws all.
        """
        if self.count == 1 or n % self.count:
            return draw(n, y)
        each = n // self.count
        # As a part of a batch, a model draws the noise of all n and takes its rows.
        with at_work(Part(self.index, self.count, processes=self.count)):
            x = draw(each, None if y is None else y[self.index * each :][:each])
        return torch.cat(self.gather(x.cpu()) or [x])

    def assigned(self, n: int) -> Iterator[int]:
        """Numbers below n, each of which one process gets when it asks for the next."""
        assert self.store is not None
        counter = f"items {next(self.counters)}"  # the same name in all processes, another for each call
        with noticed():
            while (number := self.store.add(counter, 1) - 1) < n:
                yield number

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """Let the first process go through the block, then the others, which find in the cache what it made.

        What one process raises inside, all raise; so all of them know whether the block was done.
        """
        if self.count == 1:
            yield
            return
        failure: Exception | None = None
        if not self.first:
            self.raise_together()  # where the first failed
        try:
            yield
        except Exception as error:
            failure = error
        if self.first:
            self.raise_together(failure)
        self.raise_together(failure)


ALONE = Processes()


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the other processes of a run inside the block; device: of this one's model.

    Number, count and address come from the environment that torch's launchers set (RANK, WORLD_SIZE, ...).
    """
    index, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL takes the current one
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(index, count, store=common_store(index, device))
    finally:
        dist.destroy_process_group()


def common_store(index: int, device: torch.device) -> dist.Store:
    """Connect to the first process's store, where items are counted out; its port goes by a tensor on
    `device`.
    """
    host = common_host()
    store = open_store(host) if index == 0 else None
    port = torch.tensor([0 if store is None else store.port], device=device)
    dist.broadcast(port, 0)
    return store if store is not None else dist.TCPStore(host, int(port), is_master=False)


def write_back(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Write consecutive numbers (N,) back into the tensors that they were made from."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    with torch.no_grad():
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def saved_buffers(model: nn.Module) -> list[Tensor]:
    """List the buffers that a checkpoint holds, which training or fitting may change; the others are
    constants that every process computes for itself, and need not be copied between them.
    """
    saved = model.state_dict(keep_vars=True)
    return [buffer for name, buffer in model.named_buffers() if name in saved]
