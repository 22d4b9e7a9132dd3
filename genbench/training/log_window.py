"""What a training loop keeps an eye on: means for the log, values that are not finite, and the clock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from genbench.runtime.processes import ALONE, Processes
from genbench.training.nonfinite import NotFinite, describe_update, mean

__all__ = ["Clock", "Window"]


class Window:
    """What the log shows, kept on the device and averaged when it is asked for.

    Every `patience` updates it looks whether all was finite. Raises NotFinite naming the first phase and
    step where it was not.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.values: dict[str, list[Tensor]] = {}
        self.unchecked: list[tuple[str, int, dict[str, Tensor]]] = []

    def add(self, phase: str, step: int, values: dict[str, Tensor]) -> None:
        """Take in one update: its loss, the terms of it and the norm of its gradient, () each."""
        for name, value in values.items():
            self.values.setdefault(f"{phase}/{name}", []).append(value)
        self.unchecked.append((phase, step, values))
        if len(self.unchecked) >= self.patience:
            self.check()

    def check(self) -> None:
        """Look at all updates that were not looked at yet."""
        if not self.unchecked:
            return
        decisive = [values["loss"] + values["grad_norm"] for _, _, values in self.unchecked]
        finite = torch.stack(decisive).isfinite().tolist()
        if not all(finite):
            phase, step, values = self.unchecked[finite.index(False)]
            raise NotFinite(describe_update(values, phase, step))
        self.unchecked.clear()

    def state(self, processes: Processes = ALONE) -> dict[str, Tensor]:
        """What is averaged next, for a checkpoint."""
        values = {name: torch.stack(values) for name, values in self.values.items()}
        processes.average(list(values.values()))
        return values

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Go back to a checkpoint, on the device where the training goes on."""
        self.values = {name: list(values.to(device)) for name, values in state.items()}

    def flush(self, processes: Processes = ALONE) -> dict[str, float]:
        """The means since the last flush, over all processes."""
        self.check()
        if not self.values:  # all batches since the last flush were skipped
            return {}
        means = torch.stack([mean(values).float() for values in self.values.values()])
        processes.average([means])
        named = dict(zip(self.values, means.tolist(), strict=True))
        self.values.clear()
        return named


class Clock:
    """Seconds of training, over all sessions, without pauses; and the rate since the last question."""

    def __init__(self, seconds: float, images_seen: int) -> None:
        self.origin = time.monotonic() - seconds
        self.last = (images_seen, seconds)

    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.origin

    def rate(self, images_seen: int) -> float:
        """Images a second since the last question."""
        (images, seconds), now = self.last, self.seconds()
        self.last = (images_seen, now)
        return (images_seen - images) / max(now - seconds, 1e-9)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count."""
        start = time.monotonic()
        yield
        self.origin += time.monotonic() - start
