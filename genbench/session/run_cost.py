"""Time, memory and operations that a run spent, summed up for its result."""

from dataclasses import replace

from torch import Tensor

from genbench.evaluation.evaluator import Evaluation
from genbench.generator import Y
from genbench.metrics import parameter_count, peak_memory_bytes
from genbench.records.result import Cost
from genbench.runtime.device import describe
from genbench.session.run_parts import Parts
from genbench.session.validation import target_words
from genbench.training.flops import sampling_flops, spent_flops
from genbench.training.state import Trained
from genbench.training.target import TargetChecks

__all__ = ["run_cost", "with_start"]


def run_cost(
    trained: Trained,
    drawing: Evaluation | None,
    pair: tuple[Tensor, Y],
    parts: Parts,
    *,
    processes: int,
    seconds: float,
) -> Cost:
    """Sum up what a run spent; sampling, if any, as `drawing` found it, the evaluation of the EMA weights;
    seconds: of the whole evaluation. Operations are counted here, on a pair of training images and their
    labels.
    """
    model, (x, y) = trained.model, pair
    images, training = trained.images_by_phases, Cost()  # which is n/a where nothing is trained
    if model.phases:
        training = Cost(
            training_flops=spent_flops(model, x, y, images=images, images_seen=trained.images_seen),
            training_seconds=trained.seconds,
            fitting_seconds=trained.fitting_seconds,
            training_joules=trained.joules,
            images_per_second=trained.images_seen / trained.seconds,
        )
    if parts.budget.until is not None:
        checks = trained.target_checks or TargetChecks()
        training = replace(
            training,
            target=target_words(parts),
            target_images_seen=checks.images_seen,
            target_seconds=checks.seconds,
            target_value=checks.value,
            target_checks=checks.checks,
            checking_seconds=checks.checking_seconds,
        )
    if parts.start is not None:
        training = with_start(training, parts.start)
    return replace(
        training,
        device=describe(parts.device, processes),
        parameters=parameter_count(model),
        images_seen=trained.images_seen,
        skipped_batches=trained.skips.total + trained.skips.large + trained.overflows or None,
        ended_early=trained.best.ended_early if trained.best else None,
        flops_per_sample=sampling_flops(trained.ema.model, y, n=2, device=parts.device),
        passes_per_sample=drawing and drawing.passes_per_sample,
        seconds_per_image=drawing and drawing.seconds_per_image,
        joules_per_sample=drawing and drawing.joules_per_sample,
        sampling_batch=drawing and parts.metrics.batch_size,
        out_of_range=drawing and drawing.out_of_range,
        evaluation_seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(parts.device),
    )


def with_start(cost: Cost, start: Cost) -> Cost:
    """Add what the training of the run took that a training started from, its own start included: to the
    seconds, also those to a target, the energy and the operations, and by itself.
    """
    earlier, own, before = start.training_seconds or 0.0, cost.training_joules, start.training_joules
    return replace(
        cost,
        start_images=(start.images_seen or 0) + (start.start_images or 0),
        start_seconds=start.training_seconds,
        start_flops=start.training_flops,
        training_seconds=(cost.training_seconds or 0.0) + earlier,
        training_joules=None if own is None or before is None else own + before,
        target_seconds=None if cost.target_seconds is None else cost.target_seconds + earlier,
        training_flops=(cost.training_flops or 0.0) + (start.training_flops or 0.0),
    )
