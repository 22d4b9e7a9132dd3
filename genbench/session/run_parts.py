"""The objects that a run is made of, and the configuration that describes them: all that a session gets from
the application, which alone knows Hydra.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer

from genbench.data import ImageSource
from genbench.generator import Generator
from genbench.metrics import Metrics
from genbench.records.result import Cost
from genbench.runtime.context import Context
from genbench.runtime.precision import Precision
from genbench.runtime.processes import ALONE, Processes
from genbench.runtime.progress import Progress
from genbench.runtime.stop import StopRequest
from genbench.tracking import Tracking
from genbench.training.budget import Budget, NoTraining
from genbench.training.loop import OptimizerFactory, Recipe, Trainer
from genbench.training.lr_schedule import LrSchedule

__all__ = ["Configuration", "Parts", "no_optimizer"]


RANGES: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "lr": (lambda value: value >= 0, "at least 0 (0 learns nothing), e.g. 0.002"),
    "betas": (lambda value: 0 <= value < 1, "two numbers from 0 to below 1, e.g. [0.9,0.99]"),
    "momentum": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "eps": (lambda value: 0 <= value <= 1, "from 0 to 1, e.g. 1e-8"),
    "weight_decay": (lambda value: value >= 0, "at least 0, e.g. 0.01"),
}
"""Settings of torch's optimizers -> the numbers with which they learn, as a test and in words."""


class Configuration(NamedTuple):
    """The configuration of a run in the form that its directory records: the session writes it into run.json
    and result.json, and computes nothing from it.
    """

    identity: str
    """Hash of all that its numbers follow from."""
    values: Mapping[str, Any]
    """The resolved tree; "name" is the group of runs that it belongs to."""
    choices: Mapping[str, str]
    """The option chosen in each group: model -> ddpm, .."""
    settings: Mapping[str, Any]
    """Each setting once, by its dotted key, for trackers: `values` without references to other settings."""
    in_sweep: bool = False
    """True of a job of a sweep, whose first line is shorter."""


@dataclass(frozen=True)
class Parts:
    """The objects that a configuration describes, each made and checked by its own constructor; what a
    session trains, evaluates and records. The device and the seed become the session's Context.
    """

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
    start: Cost | None = None
    """Cost of the training of the run whose weights the model begins with; None of random weights."""

    @property
    def recipe(self) -> Recipe:
        """The four of them that make up a training besides model and images: trainer, optimizer, schedule of
        the learning rate, budget.
        """
        return Recipe(self.trainer, self.optim, self.lr_schedule, self.budget)

    def context(
        self,
        progress: Progress | None = None,
        stop: StopRequest | None = None,
        processes: Processes = ALONE,
    ) -> Context:
        """Make the context of a session on the device and from the seed of the configuration.

        By default it is silent, nobody asks it to stop, and it is one process.
        """
        stop = stop or StopRequest()
        return Context(self.device, self.seed, progress or Progress(None), stop, processes)

    def check_budget(self) -> None:
        """Raise ValueError where a model that is trained has no budget, or one that is not has any, and where
        the model has settings without effect in a budget of images.
        """
        if isinstance(self.budget, NoTraining) and self.model.phases:
            raise ValueError("budget=not_trained is for models from elsewhere: give budget.images=N")
        if not isinstance(self.budget, NoTraining) and not self.model.phases:
            raise ValueError("this model is not trained here, so it has no budget: leave budget out")
        if self.model.phases and self.budget.images is not None:
            self.model.check_budget(self.budget.images)

    def check_optim(self) -> None:
        """Raise ValueError on settings with which no optimizer works, by RANGES, then as torch finds out when
        one is made; here it is made of the model's parameters and thrown away.
        """
        if not self.model.phases:
            return
        settings: Mapping[str, Any] = getattr(self.optim, "keywords", {})  # of a partial, as options are
        for key, (is_legal, legal) in RANGES.items():
            values = settings.get(key, [])
            numbers = values if isinstance(values, list | tuple) else [values]
            # Adafactor takes eps=[null,0.001], and torch itself refuses what is not a number.
            if not all(is_legal(value) for value in numbers if isinstance(value, int | float)):
                raise ValueError(f"optim.{key} is {values}; it must be {legal}")
        try:
            self.optim(self.model.parameters())
        except (ValueError, TypeError, RuntimeError) as error:
            raise ValueError(f"optim: {error}") from error


def no_optimizer(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Stand for the optimizer of a model without phases, which nobody asks for. Raises TypeError."""
    raise TypeError("a model without phases has no optimizer")
