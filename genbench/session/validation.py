"""Validation of a run: bits per dimension and a score on the images of data.validation, and checks of what
the best weights are chosen by.
"""

import copy
from dataclasses import replace

import torch

from genbench.data import ImageData
from genbench.errors import OutOfMemory
from genbench.evaluation.evaluator import Evaluator
from genbench.evaluation.held_out import HeldOut
from genbench.generator import Generator, Likelihood
from genbench.metrics import Metrics, bits_per_dim
from genbench.metrics.scores.score import Score
from genbench.records.metric_name import MetricName, of_ema
from genbench.runtime import rng
from genbench.runtime.context import Context
from genbench.runtime.stop import StopRequest
from genbench.session.run_parts import Parts
from genbench.training.loop import Trainer
from genbench.training.target import Target
from genbench.training.validation import validated_phases

__all__ = [
    "BITS_IMAGES",
    "Validator",
    "better_of",
    "check_validation",
    "target_of",
    "target_words",
    "watches",
]

BITS_IMAGES = 64  # a diffusion model passes each of them through its network once for each step of its bound
PLAIN = ("loss", "bits_per_dim")


class Validator:
    """Measures averaged weights on the validation images: bits per dimension of at most `BITS_IMAGES` of
    them, of a model with a likelihood, and what something follows from: the score of trainer.keep_by, if it
    is one and weights are chosen by it, and the objective that a target is set for (budget.until).

    Everything is drawn from generators of its own, the same each time. A request to stop waits for its end,
    so that a resumed training has the same validations.
    """

    def __init__(
        self,
        data: ImageData,
        metrics: Metrics,
        trainer: Trainer,
        context: Context,
        *,
        objective: str | None = None,
    ) -> None:
        assert data.validation is not None
        self.context, self.keep_by = replace(context, stop=StopRequest()), trainer.keep_by
        few = copy.copy(metrics)
        few.likelihood_samples = BITS_IMAGES
        held_out = replace(data, test=data.validation, validation=None, undivided=None)
        self.held_out = HeldOut(held_out, few, self.context)
        self.metrics: Metrics | None = None
        self.asked = {trainer.keep_by: "trainer.keep_by", objective: "objective"}
        keys = [trainer.keep_by] * watches(trainer) + [objective] * (objective is not None)
        self.scored = [key for key in dict.fromkeys(keys) if key is not None and key not in PLAIN]
        if self.scored:
            self.metrics = metrics.of_size(trainer.evaluate_samples, "trainer.evaluate_samples")
            self.metrics.scores = list(dict.fromkeys(score_of(key, metrics) for key in self.scored))
            self.metrics.check_count(
                len(data.validation),
                f"data.validation sets {len(data.validation)} images aside",
                "set a larger share aside",
            )
            self.evaluator = Evaluator(data, self.metrics, self.context)

    def __call__(self, model: Generator) -> dict[str, float]:
        """Measure a model: "bits_per_dim", and the score under its full name, with ref=validation. One that
        cannot be taken, for lack of memory or samples that are not finite, is printed and left out.
        """
        found = dict[str, float]()
        if isinstance(model, Likelihood):
            found["bits_per_dim"] = self.bits(model)
        if self.metrics is not None:
            try:
                found |= self.score(model, self.metrics)
            except (FloatingPointError, OutOfMemory) as error:
                self.context.progress.say([f"score of the validation skipped: {error}"])
        return found

    @torch.no_grad()
    def bits(self, model: Likelihood) -> float:
        """Measure bits per dimension of the validation images, the mean over them."""
        log_q = torch.cat(self.held_out.nats(model), dim=1)[0]
        return bits_per_dim(float(log_q.mean()), self.held_out.data.test.images[0].numel())

    def score(self, model: Generator, metrics: Metrics) -> dict[str, float]:
        """Score trainer.evaluate_samples samples against the validation images: values by their full names,
        without intervals.
        """
        seed = rng.derive(self.context.seed, "validation scores")
        values = self.evaluator.evaluation(model, "ema", metrics, ("validation",), seed).metrics
        if missing := [key for key in self.scored if key not in of_ema(values)]:
            named = " and ".join(f"{key} ({self.asked[key]})" for key in missing)
            said = f"no value of {named} on these images: this validation decides nothing by it"
            self.context.progress.say([said])
        return {name: value for name, value in values.items() if not MetricName.parse(name).spread}


def watches(trainer: Trainer) -> bool:
    """True where something follows from the best validation: weights that are saved, or an early end."""
    return trainer.keep == "best" or trainer.patience is not None


def score_of(key: str, metrics: Metrics) -> Score:
    """Return the score that computes a kind of number, fid say. Raises StopIteration where none does."""
    return next(score for score in metrics.scores if key in [kind.key for kind in score.kinds])


def better_of(trainer: Trainer, metrics: Metrics) -> int:
    """Return -1 where a lower value of trainer.keep_by is better, 1 where a higher is."""
    found = {kind.key: kind.better for kind in metrics.kinds}
    return found.get(trainer.keep_by, -1)


def check_validation(parts: Parts) -> None:
    """Raise ValueError where trainer.keep=best, trainer.patience or budget.until cannot be followed: without
    validations, or by a number that this run's validations do not have or that chooses nothing.
    """
    trainer, model, until = parts.trainer, parts.model, parts.budget.until
    if not watches(trainer) and until is None:
        return
    asked = "trainer.keep=best" if trainer.keep == "best" else f"trainer.patience={trainer.patience}"
    asked = asked if watches(trainer) else f"budget.until={until:g}"
    if not model.phases:
        raise ValueError(f"{asked} follows a training, and this model is not trained")
    if parts.source.validation is None:
        raise ValueError(
            f"{asked} needs validation images: add data.validation=0.1, the share of the training images "
            "that are set aside"
        )
    if trainer.validate_every_images is None:
        raise ValueError(f"{asked} needs validations: give trainer.validate_every_images, e.g. 10000")
    if watches(trainer):
        check_keep_by(parts)
    if until is not None:
        check_target(parts)


def check_target(parts: Parts) -> None:
    """Raise ValueError unless the objective, for which budget.until is set, is a number that validations of
    this run measure: bits per dimension of a model with a likelihood, or a score of which one way is better
    and that has a value on these images.
    """
    objective, measured = parts.budget.objective, validated_scores(parts)
    if isinstance(parts.model, Likelihood):
        measured = ["bits_per_dim", *measured]
    if objective not in measured:
        there = f"they measure {', '.join(measured)}: use objective=NAME, " if measured else ""
        raise ValueError(
            f"budget.until={parts.budget.until:g} ends the training by the objective {objective}, which the "
            f"validations of this run do not measure; {there}or add scores by metrics=standard"
        )
    if objective != "bits_per_dim":  # few samples are refused here
        parts.metrics.of_size(parts.trainer.evaluate_samples, "trainer.evaluate_samples")


def target_of(parts: Parts) -> Target:
    """Return the target of a run's training, with the side on which its values are better."""
    objective = parts.budget.objective
    better = {kind.key: kind.better for kind in parts.metrics.kinds}.get(objective, -1)
    return Target(objective, parts.budget.until, better)


def target_words(parts: Parts) -> str:
    """Say in words what a training ends at, and what that is measured on: "fid 20 or lower, of 200 samples
    against the validation images, checked every 10,000 images".
    """
    target, trainer = target_of(parts), parts.trainer
    side = "lower" if target.better < 0 else "higher"
    on = f"of {trainer.evaluate_samples:,} samples against the validation images"
    on = f"of at most {BITS_IMAGES} validation images" if target.kind == "bits_per_dim" else on
    every = f"checked every {trainer.validate_every_images:,} images"
    return f"{target.kind} {target.until:g} or {side}, {on}, {every}"


def validated_scores(parts: Parts) -> list[str]:
    """Return the kinds of scores that validations of a run can be compared by: one way is better, and model,
    data and validation images have all that they need.
    """
    missing = lacking(parts).keys() | beyond_validation(parts)
    return [kind.key for kind in parts.metrics.kinds if kind.better and kind.key not in missing]


def beyond_validation(parts: Parts) -> set[str]:
    """Return the kinds of scores that compare with training or test images, which validations do not read."""
    return {kind.key for score in parts.metrics.scores if not score.by_validation for kind in score.kinds}


def check_keep_by(parts: Parts) -> None:
    """Raise ValueError unless trainer.keep_by is a number that validations of this model have, and by which
    they compare: of scores one of which one way is better, and that have a value on these images.
    """
    keep_by, phases = parts.trainer.keep_by, list(dict.fromkeys(validated_phases(parts.model)))
    plain, missing = (len(phases) == 1, isinstance(parts.model, Likelihood)), lacking(parts)
    scores = validated_scores(parts)
    legal = [name for name, fits in zip(PLAIN, plain, strict=True) if fits] + scores
    if keep_by in legal:
        if keep_by in scores:  # few samples are refused here
            parts.metrics.of_size(parts.trainer.evaluate_samples, "trainer.evaluate_samples")
        return
    reasons = {
        "loss": f"a model whose losses ({', '.join(phases)}) work against each other and say nothing of "
        "quality",
        "bits_per_dim": "a model that has no likelihood",
        **{key: f"a model or data without {what}" for key, what in missing.items()},
        **dict.fromkeys(beyond_validation(parts), "validations, which compare with their own images alone"),
    }
    why = reasons.get(keep_by, "a run whose scores do not have it")
    there = f"choose from {', '.join(legal)}" if legal else "add scores by metrics=standard"
    raise ValueError(f"trainer.keep_by is {keep_by!r} for {why}: {there}")


def lacking(parts: Parts) -> dict[str, str]:
    """Return what scores need and this run has not, in words, by the kinds that have no value without it."""
    conditional = parts.model.num_classes > 0
    found = {score: score.lacks(parts.source, conditional=conditional) for score in parts.metrics.scores}
    return {kind.key: what for score, what in found.items() if what is not None for kind in score.kinds}
