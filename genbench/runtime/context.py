"""Circumstances of a computation, as one object: device, seed, progress, stop request and processes.
Functions that need several of them take the Context; it knows nothing of models and data.
"""

from dataclasses import dataclass, field

import torch

from genbench.runtime import rng
from genbench.runtime.processes import ALONE, Processes
from genbench.runtime.progress import Progress
from genbench.runtime.stop import Stopped, StopRequest

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """Place and manner of a computation, apart from its subject; passed on as it is.

    device: of models and batches. seed: every random stream follows from it and a name. progress: shows bars
    and lines, by default nothing. stop: asked between batches, by default never set. processes: those that
    share the work, by default this one alone.
    """

    device: torch.device
    seed: int = 0
    progress: Progress = field(default_factory=lambda: Progress(None))
    stop: StopRequest = field(default_factory=StopRequest)
    processes: Processes = ALONE

    @property
    def first(self) -> bool:
        """True in the process that writes and prints for all of a run. It guards writing alone: the other
        processes call the same functions and compute their share.
        """
        return self.processes.first

    def generator(self, name: str, number: int = 0) -> torch.Generator:
        """Make a random generator on the device for the stream of a name and number, which depends on nothing
        but them and the seed: the same call gives the same draws in every process and at any time.
        """
        return rng.generator(self.device, self.seed, name, number)

    def check_stop(self) -> None:
        """Raise Stopped in every process where the first was asked to stop; all call it at the same point.

        Signals reach processes at different moments: each for itself, they would part ways.
        """
        (asked,) = self.processes.broadcast_numbers([self.stop.requested])
        if asked:
            raise Stopped
