"""A model in training with its average and its optimizers: the object that a checkpoint saves and a resumed
run restores.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from genbench.generator import Generator
from genbench.tracking import Tracker
from genbench.training.best import Best
from genbench.training.ema import Ema
from genbench.training.loss_scale import LossScaler
from genbench.training.nonfinite import Guard, Skips
from genbench.training.snapshots import Snapshots
from genbench.training.step import restore
from genbench.training.target import Target, TargetChecks, validated

__all__ = ["Trained"]


@dataclass
class Trained:
    """A model in training, or trained: its weights, their average, the optimizer of each phase, and counts of
    steps, images and seconds over all sessions.
    """

    model: Generator
    ema: Ema
    optimizers: dict[str, Optimizer]
    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    finished: bool = False
    fitting_seconds: float = 0.0
    """Of what is found once the weights are trained; no part of `seconds`."""
    joules: float | None = 0.0
    """Energy of the training, of the same time as `seconds`; None where a part of it was not measured."""
    images_by_phases: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Images that each stage saw, by its phases; under budget.seconds its share does not tell."""
    skips: Skips = field(default_factory=Skips)
    best: Best | None = None
    """The best validation so far, of a training with validation images."""
    target_checks: TargetChecks | None = None
    """Results of the checks of the target, of a training with budget.until."""
    scalers: dict[str, LossScaler] = field(default_factory=dict)
    """Scale of the loss of each phase under float16; {} in other precisions."""
    snapshots: Snapshots | None = None
    """Averages for trainer.ema_snapshots; None where a training has none."""
    saved_images: int | None = None
    """Images seen by the last checkpoint, None before the first."""

    @property
    def overflows(self) -> int:
        """Updates that were skipped since their gradient overflowed float16; reading waits for the device."""
        return sum(int(scaler.overflows) for scaler in self.scalers.values())

    def skipped(self, guard: Guard) -> dict[str, float]:
        """Counts of skipped updates by their names in the log: those of the guard where it skips batches,
        "overflows" under float16.
        """
        return guard.counts() | ({"overflows": self.overflows} if self.scalers else {})

    def times(self, images: int) -> dict[str, float]:
        """Return how far the training is, by the names in the log: epochs, of `images` images each, and the
        seconds of all sessions.
        """
        return {"epoch": self.images_seen / images, "training_seconds": self.seconds}

    def check_target(self, target: Target, found: Mapping[str, float], took: float) -> None:
        """End the training where a validation, by its names in the log, finds the target reached; nothing
        without a target. took: seconds of the validation, which are counted apart.
        """
        if target.until is None:
            return
        self.target_checks = checks = self.target_checks or TargetChecks()
        checks.checking_seconds += took
        value = validated(found, target.kind)
        if value is None:  # before the last stage of a model, or where the score could not be taken
            return
        checks.checks, checks.value = checks.checks + 1, value
        if target.is_reached(value):
            checks.images_seen, checks.seconds = self.images_seen, self.seconds
            self.finished = True

    def state(self, tracker: Tracker, window: dict[str, Tensor], data_key: str) -> dict[str, Any]:
        """Return the content of a checkpoint: state dicts, numbers and strings.
        tracker, window: whose own states it holds too; data_key: of the images, with which alone a run may be
        resumed.
        """
        scales = {phase: scaler.state() for phase, scaler in self.scalers.items()}
        return {
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "optimizers": {phase: optimizer.state_dict() for phase, optimizer in self.optimizers.items()},
            "step": self.step,
            "images_seen": self.images_seen,
            "seconds": self.seconds,
            "finished": self.finished,
            "fitting_seconds": self.fitting_seconds,
            "images_by_phases": self.images_by_phases,
            "skips": asdict(self.skips),
            "data_key": data_key,
            "window": window,
            "tracker": tracker.state(),
            **({} if self.joules is None else {"joules": self.joules}),
            **({} if self.best is None else {"best": asdict(self.best)}),
            **({} if self.target_checks is None else {"target_checks": asdict(self.target_checks)}),
            **({"loss_scales": scales} if scales else {}),
            **({} if self.snapshots is None else self.snapshots.state()),
        }

    def follow(self, spent: float, pause: Callable[[], AbstractContextManager[None]]) -> None:
        """Move the averages of trainer.ema_snapshots after a step, and write a snapshot where one is due.

        spent: share of the budget; pause: makes the block in which the clock of the training stands still.
        """
        if self.snapshots is not None:
            self.snapshots.step(self.images_seen, spent, finished=self.finished, pause=pause)

    def load(self, state: dict[str, Any]) -> None:
        """Restore weights, optimizers and counts, in place, from the content of a checkpoint, which
        `checkpoint_contents.resumable` has accepted; keys that earlier versions lack have defaults.
        """
        self.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"])
        for phase, optimizer in self.optimizers.items():
            restore(optimizer, state["optimizers"][phase])
        for phase, scale in state.get("loss_scales", {}).items():
            if phase in self.scalers:  # else the run now computes in another precision
                self.scalers[phase].load(scale)
        if self.snapshots is not None:
            self.snapshots.load(state)
        self.step, self.images_seen = state["step"], state["images_seen"]
        self.seconds, self.finished = state["seconds"], state["finished"]
        self.fitting_seconds = state.get("fitting_seconds", 0.0)  # older checkpoints have none
        self.joules = state.get("joules")
        self.images_by_phases = dict(state.get("images_by_phases", {}))  # checkpoints of before have none
        self.skips, self.saved_images = Skips(**state.get("skips", {})), self.images_seen
        self.best = Best(**state["best"]) if "best" in state else None
        checks = state.get("target_checks")
        self.target_checks = None if checks is None else TargetChecks(**checks)
