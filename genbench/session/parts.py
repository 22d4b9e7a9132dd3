"""The objects that a run is made of."""

from dataclasses import dataclass

import torch

from genbench.data import ImageSource
from genbench.generator import Generator
from genbench.metrics import Metrics
from genbench.runtime.precision import Precision
from genbench.tracking import Tracking
from genbench.training.budget import Budget
from genbench.training.loop import OptimizerFactory, Trainer
from genbench.training.lr_schedule import LrSchedule

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """The objects that a configuration describes."""

    source: ImageSource
    model: Generator
    optim: OptimizerFactory
    lr_schedule: LrSchedule
    budget: Budget
    trainer: Trainer
    precision: Precision
    metrics: Metrics
    tracking: Tracking
    device: torch.device
    seed: int

    def check_optim(self) -> None:
        """An optimizer refuses its settings only when it is made. Raises ValueError."""
        try:
            self.optim(self.model.parameters())
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"optim: {error}") from error
