"""The processes that work on one run together, and how they divide the work."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count as numbers
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.errors import UsageError
from genbench.runtime.endings import describe_error, rebuild_error
from genbench.runtime.exchange import from_bytes, to_bytes
from genbench.runtime.global_batch import Part, at_work, noticed
from genbench.runtime.meeting import common_host, open_store

__all__ = ["ALONE", "Ranks", "changing", "joined"]

Item, Result = TypeVar("Item"), TypeVar("Result")
PATIENCE = timedelta(days=7)  # a process that is gone is noticed by its connection, one at work may take long


class Ranks:
    """One of `count` processes of a run, number `index`; alone, nothing here costs anything.

    Each holds the whole model. A step's batch is divided among them, and so are the batches of samples.
    Raises Lost from every method where another process is gone.
    """

    def __init__(self, index: int = 0, count: int = 1, *, desk: dist.Store | None = None) -> None:
        self.index, self.count, self.desk = index, count, desk
        # Numbers of the host go by a group of their own, so that no GPU has to be waited for.
        self.host = dist.new_group(backend="gloo", timeout=PATIENCE) if count > 1 else None
        self.tables = numbers()

    @property
    def first(self) -> bool:
        """Whether this process writes, draws and prints for all."""
        return self.index == 0

    def check_batch(self, batch_size: int, accumulate: int) -> None:
        """Raise UsageError unless a batch can be divided into equal parts."""
        if batch_size % (accumulate * self.count):
            raise UsageError(
                f"trainer.batch_size={batch_size} is no multiple of the {self.count} processes times "
                f"trainer.accumulate={accumulate}: change one of them"
            )

    def check_same(self, place: Sequence[float]) -> None:
        """Raise UsageError where this process would go on from another place than the first."""
        if self.agree(place) != list(place):
            raise UsageError(
                "this process found another checkpoint than the first one: runs_dir must be one folder that "
                "all machines share"
            )

    @property
    def share(self) -> Part:
        """This process's share of a batch, all of its parts together."""
        return Part(self.index, self.count, processes=self.count)

    def parts(self, index: Tensor, accumulate: int) -> list[tuple[Part, Tensor]]:
        """This process's share of a batch's indices (B,), in `accumulate` parts."""
        of = accumulate * self.count
        mine = range(self.index * accumulate, (self.index + 1) * accumulate)
        parts = index.chunk(of)
        return [
            (Part(number, of, last=number == mine[-1], processes=self.count), parts[number])
            for number in mine
        ]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, of floats, by its mean over the processes."""
        for mine in self.by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in mine])
            with noticed():
                dist.all_reduce(flat)
            spread(flat / self.count, mine)

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the first process's."""
        for mine in self.by_kind(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in mine])
            flat = flat.byte() if flat.dtype == torch.bool else flat
            with noticed():
                dist.broadcast(flat, 0)
            spread(flat, mine)

    def by_kind(self, tensors: Iterable[Tensor]) -> Collection[list[Tensor]]:
        """Tensors of one dtype together, which travel as one; none where there is nobody to send them to."""
        kinds: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors if self.count > 1 else ():
            kinds.setdefault(tensor.dtype, []).append(tensor)
        return kinds.values()

    def agree(self, values: Sequence[float]) -> list[float]:
        """The first process's numbers (its clock, its wishes), which count for all."""
        if self.count == 1:
            return list(values)
        said = torch.tensor(values, dtype=torch.float64)
        with noticed():
            dist.broadcast(said, 0, group=self.host)
        return said.tolist()

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The result of each item, in their order, for the first process; none for the others.

        Results are plain data and tensors (see `runtime.exchange`). Items are dealt one by one to whoever is
        free, so that nobody waits for a process that is late. What one process raises, all raise.
        """
        if self.count == 1:
            yield from map(work, items)
            return
        done: list[tuple[int, Result]] = []
        failure: Exception | None = None
        try:
            done.extend((number, work(items[number])) for number in self.dealt(len(items)))
        except Exception as error:  # the others must learn of it, or they would wait for this process
            failure = error
        results, failures = dict[int, Result](), list[Any]()
        for pairs, theirs in self.gathered((done, None if failure is None else describe_error(failure))):
            results.update(pairs)
            failures.append(theirs)
        first = self.told(next((error for error in failures if error is not None), None))
        if first is not None:
            raise failure or rebuild_error(first)
        yield from (results[number] for number in sorted(results))

    def images(self, n: int, y: Tensor | None, draw: Callable[[int, Tensor | None], Tensor]) -> Tensor:
        """n images, (n, C, H, W), as one process would draw them; the others than the first get their part.

        draw(n, y): labels y (n,) or None. Where n cannot be divided each process draws all.
        """
        if self.count == 1 or n % self.count:
            return draw(n, y)
        each = n // self.count
        with at_work(Part(self.index, self.count)):
            x = draw(each, None if y is None else y[self.index * each :][:each])
        return torch.cat(self.gathered(x.cpu()) or [x])

    def gathered(self, value: Result) -> list[Result]:
        """The values of all processes, in their order, for the first; none for the others.

        value: plain data and tensors, which arrive on the CPU.
        """
        mine, sizes = to_bytes(value), [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with noticed():
            dist.all_gather(sizes, torch.tensor([len(mine)]), group=self.host)
            longest = max(map(int, sizes))
            boxes = [torch.empty(longest, dtype=torch.uint8) for _ in sizes] if self.first else None
            dist.gather(F.pad(mine, (0, longest - len(mine))), boxes, dst=0, group=self.host)
        return [from_bytes(box[: int(size)]) for box, size in zip(boxes or [], sizes, strict=False)]

    def told(self, value: Result) -> Result:
        """The first process's value: plain data and tensors."""
        said = to_bytes(value)
        size = torch.tensor([len(said)])
        with noticed():
            dist.broadcast(size, 0, group=self.host)
            said = said if self.first else torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(said, 0, group=self.host)
        return from_bytes(said)

    def dealt(self, n: int) -> Iterator[int]:
        """Numbers below n, each of which one process gets."""
        assert self.desk is not None
        table = f"table {next(self.tables)}"
        with noticed():
            while (number := self.desk.add(table, 1) - 1) < n:
                yield number

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """The first process goes through the block, then the others, who find in the cache what it made."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            with noticed():
                dist.barrier(group=self.host)


ALONE = Ranks()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes, as the environment of torch's launchers says who they are."""
    index, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Ranks(index, count, desk=common_desk(index, device))
    finally:
        dist.destroy_process_group()


def common_desk(index: int, device: torch.device) -> dist.Store:
    """A store of the first process, where work is dealt out; its port goes by a tensor on `device`."""
    host = common_host()
    desk = open_store(host) if index == 0 else None
    port = torch.tensor([0 if desk is None else desk.port], device=device)
    dist.broadcast(port, 0)
    return desk if desk is not None else dist.TCPStore(host, int(port), is_master=False)


def spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Write consecutive numbers (N,) back to where they came from."""
    parts = flat.split([tensor.numel() for tensor in tensors])
    with torch.no_grad():
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def changing(model: nn.Module) -> list[Tensor]:
    """The buffers that a checkpoint keeps: the others are constants."""
    kept = model.state_dict(keep_vars=True)
    return [buffer for name, buffer in model.named_buffers() if name in kept]
