"""Values between two lines of the log: means of losses and norms over updates, the check that all of them
were finite, and the clock of a training.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from genbench.runtime.energy import known, meter
from genbench.runtime.processes import ALONE, Processes
from genbench.training.nonfinite import NotFinite, describe_update, mean

__all__ = ["Clock", "Window"]

READ_SECONDS = 60.0  # between two readings of the energy; RAPL's counter wraps after minutes


class Window:
    """Losses of the updates since the last line of the log, held on the device and averaged when the log
    asks.
    patience: updates after which it is checked that all were finite. Raises NotFinite naming the first phase
    and step where one was not.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.values: dict[str, list[Tensor]] = {}
        self.unchecked: list[tuple[str, int, dict[str, Tensor]]] = []

    def add(self, phase: str, step: int, values: dict[str, Tensor]) -> None:
        """Add the values of one update, () each on the device: its loss, the terms of the loss, and the norm
        of its gradient; checks them once `patience` are waiting.
        """
        for name, value in values.items():
            self.values.setdefault(f"{phase}/{name}", []).append(value)
        self.unchecked.append((phase, step, values))
        if len(self.unchecked) >= self.patience:
            self.check()

    def check(self) -> None:
        """Check that the losses and norms of all updates that were not checked yet are finite, which waits
        for the device; raises NotFinite, naming the first phase and step where one is not.
        """
        if not self.unchecked:
            return
        decisive = [values[name] for _, _, values in self.unchecked for name in ("loss", "grad_norm")]
        # One read-back for all of them, where they are on a GPU; on a CPU numbers are read one by one, which
        # is faster than any operation.
        numbers = [float(x) for x in decisive] if decisive[0].is_cpu else torch.stack(decisive).tolist()
        finite = [math.isfinite(number) for number in numbers]
        if not all(finite):
            phase, step, values = self.unchecked[finite.index(False) // 2]
            raise NotFinite(describe_update(values, phase, step))
        self.unchecked.clear()

    def state(self, processes: Processes = ALONE) -> dict[str, Tensor]:
        """Return the values since the last flush for a checkpoint, (n,) each by name, averaged over the
        processes, all of which call this; a resumed training continues the line.
        """
        values = {name: torch.stack(values) for name, values in self.values.items()}
        processes.average(list(values.values()))
        return values

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Take the values of a checkpoint, so that the next means are those of an uninterrupted training;
        device: the one on which it goes on.
        """
        self.values = {name: list(values.to(device)) for name, values in state.items()}

    def flush(self, processes: Processes = ALONE) -> dict[str, float]:
        """Return the means of all values since the last flush, by name, over all processes, and forget the
        values; {} where every batch was skipped.
        """
        self.check()
        if not self.values:  # all batches since the last flush were skipped
            return {}
        means = torch.stack([mean(values).float() for values in self.values.values()])
        processes.average([means])
        named = dict(zip(self.values, means.tolist(), strict=True))
        self.values.clear()
        return named


class Clock:
    """Seconds and joules of training over all sessions, without pauses, and images per second since it was
    last asked.
    seconds, images_seen, joules: of the sessions before this one; None: not measured. device: this process's.
    """

    def __init__(self, seconds: float, images_seen: int, device: torch.device, joules: float | None) -> None:
        self.origin = time.monotonic() - seconds
        self.last = (images_seen, seconds)
        self.last_pause = 0.0
        self.before, self.taken = math.nan if joules is None else joules, 0.0
        self.meter, self.read = meter(device), time.monotonic()

    def seconds(self) -> float:
        """Return the seconds of training so far, of all sessions, without pauses."""
        now = time.monotonic()
        if now - self.read > READ_SECONDS:
            self.taken, self.read = self.taken + self.meter.taken(), now
        return now - self.origin

    def joules(self, processes: Processes) -> float | None:
        """Return the joules of training up to the last pause, of all sessions and GPUs; None where a part was
        not measured. Several processes on CPUs count the packages of the first one's machine, once.
        """
        gathered = processes.gather(self.taken)  # of all, in the first one alone
        own = sum(gathered[:1] if self.meter.is_shared else gathered)
        (joules,) = processes.broadcast_numbers([self.before + own])
        return known(joules)

    def rate(self, images_seen: int) -> float:
        """Return images per second since the last call, or since the session began, when images_seen were
        seen in all.
        """
        (images, seconds), now = self.last, self.seconds()
        self.last = (images_seen, now)
        return (images_seen - images) / max(now - seconds, 1e-9)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave time and energy inside the block, such as those of pictures, out of those of training;
        `last_pause` has its seconds afterwards.
        """
        start = time.monotonic()
        self.taken += self.meter.taken()
        yield
        self.last_pause = time.monotonic() - start
        self.origin += self.last_pause
        self.meter.taken()
