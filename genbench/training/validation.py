"""Validation during training: losses of the averaged weights on images that are never trained on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genbench.data import Split
from genbench.generator import Generator
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.training.best import Best
from genbench.training.budget import crossed
from genbench.training.hooks import OnEvaluate
from genbench.training.state import Trained
from genbench.training.step import model_batch
from genbench.training.target import validated

__all__ = ["MOST", "Validation", "validated_phases"]

MOST = 2048  # validation images that a loss is taken on, a few seconds of a small model on a CPU
BATCH = 64  # whatever the training's, so that neither its parts nor its processes change a loss
FIRST_STEP = 0  # of every validation: the step at which all terms of a loss are due


class Validation:
    """Validations of one training: the same images and the same draws of noise each time.

    split: the validation images, of which at most `MOST` are used; every: images seen between two
    validations. keep_by: what they are compared by; better: -1 where a lower value is better, 1 where a
    higher is. patience: validations without a better one that end the training, None for no end.
    on_validate: measures bits per dimension and scores.
    It draws from generators of its own, and leaves the buffers of the weights as they were.
    """

    def __init__(
        self,
        split: Split,
        every: int | None,
        keep_by: str,
        *,
        better: int,
        patience: int | None,
        on_validate: OnEvaluate,
        context: Context,
    ) -> None:
        self.split, self.every, self.keep_by, self.better = split, every, keep_by, better
        self.patience, self.on_validate, self.context = patience, on_validate, context
        # A random part, the same in every run: files often lie by class.
        self.order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:MOST]
        self.latest: float | None = None

    def is_due(self, before: int, run: Trained) -> bool:
        """True after a step that began at `before` images, where a validation is due: every so many images,
        and once more at the end of the budget.
        """
        return self.every is not None and (crossed(self.every, before, run.images_seen) or run.finished)

    def measure(self, average: Generator, phases: tuple[str, ...]) -> dict[str, float]:
        """Validate the averaged weights: the mean loss of each of the phases at work, and in the last stage
        of a model what `on_validate` measures, by their names in the log.

        All processes call it, share the batches, and get the same numbers.
        """
        found = self.losses(average, tuple(dict.fromkeys(phases)))
        single = len(set(average.phases)) == 1
        named = {"loss" if single else f"{phase}/loss": value for phase, value in found.items()}
        if phases == validated_phases(average):
            # Before its last stage a part of a model has not been trained.
            named |= self.on_validate(average)
        return {f"validation/{name}": value for name, value in named.items()}

    def losses(self, average: Generator, phases: tuple[str, ...]) -> dict[str, float]:
        """Compute the mean loss over the validation images of each phase, by its name.

        Parameters of the average require no gradient, so that nothing is recorded but what a loss itself
        differentiates, such as a penalty on slopes. Settings that change over a training are as at its end,
        so that values compare.
        """
        average.begin_step(1.0)
        buffers = list(average.buffers())
        before = [buffer.clone() for buffer in buffers]

        def of_batch(index: Tensor) -> list[float]:
            x, y = model_batch(average, self.split, index, self.context.device)
            totals = []
            for phase in phases:
                # One stream a batch, and the same buffers: it matters to no number which process computes it.
                torch.manual_seed(rng.derive(self.context.seed, "validation", int(index[0])))
                restore(buffers, before)
                loss = average.loss(x, y, phase=phase, step=FIRST_STEP)
                totals.append(float(loss.total.detach()) * len(index))
            return totals

        with rng.fork(self.context.device):
            sums = list(self.context.processes.map(of_batch, self.order.split(BATCH)))
            restore(buffers, before)
        sums = self.context.processes.broadcast(sums)
        columns = zip(*sums, strict=True)
        return {phase: sum(each) / len(self.order) for phase, each in zip(phases, columns, strict=True)}

    def enter(self, found: dict[str, float], run: Trained, phases: tuple[str, ...]) -> bool:
        """Compare a validation, by its names in the log, with the best so far; True where it is better. Ends
        the training where patience is out. Validations before the last stage of a model do not count: losses
        of different stages do not compare.
        """
        last = validated_phases(run.model)
        if phases != last:
            return False
        run.best = run.best or Best()
        self.latest = self.value(found, last)
        improved = run.best.improves(self.latest, images_seen=run.images_seen, better=self.better)
        if self.patience is not None and run.best.waiting >= self.patience and not run.finished:
            run.finished = True
            run.best.ended_early = (
                f"trainer.patience={self.patience}: no better {self.keep_by} on the validation images since "
                f"{run.best.images_seen or 0:,} images"
            )
        return improved

    def value(self, found: Mapping[str, float], phases: tuple[str, ...]) -> float | None:
        """Pick what validations are compared by out of one, None where it has no such value."""
        if self.keep_by == "loss":
            return found.get("validation/loss", found.get(f"validation/{phases[0]}/loss"))
        return validated(found, self.keep_by)

    def note(self, best: Best | None) -> str:
        """Words for the progress bar: the latest and the best validation, "" before the first."""
        if self.latest is None:
            return ""
        shown = f"validation {self.keep_by} {self.latest:.4f}"
        if best is None or best.value is None:
            return shown
        return f"{shown} (best {best.value:.4f} at {best.images_seen:,})"


def validated_phases(model: Generator) -> tuple[str, ...]:
    """Return the phases of a model's last stage, or all where it has no stages."""
    return model.stages[-1].phases if model.stages else tuple(model.phases)


@torch.no_grad()
def restore(buffers: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Set buffers to the values that were copied from them."""
    for buffer, value in zip(buffers, values, strict=True):
        buffer.copy_(value)
