"""The precision in which the networks of a run compute, with the reason for it."""

from genbench.data import Split
from genbench.records.run_directory import Run
from genbench.runtime.context import Context
from genbench.runtime.precision import FIXED, AutoPrecision, Choice, Float16, recorded_precision
from genbench.session.run_parts import Parts
from genbench.session.step_rate import step_rates

__all__ = ["chosen_precision"]


def chosen_precision(parts: Parts, here: Run, images: Split, context: Context, *, resumes: bool) -> Choice:
    """Return the precision that an earlier session of a run took, else choose one.

    here: the directory of the run, whose record may name it; images: of the training, a few steps on which
    are measured where the choice is open; resumes: from a checkpoint. The reason is empty where the user
    named the precision. Raises ValueError on a damaged record.
    """
    record = here.record() or {}
    if not parts.model.autocast_networks():
        asked = "fp16" if isinstance(parts.precision, Float16) else "bf16"
        reason = f"in {asked} this model would lose its inverse" if parts.model.networks() else ""
        return Choice(FIXED["fp32"], reason)
    if not parts.model.phases and isinstance(parts.precision, AutoPrecision):
        return Choice(FIXED["fp32"], "precision=auto compares trainings, and nothing is trained")
    if record.get("precision") or resumes:
        taken = recorded_precision(record, parts.precision, parts.device)
        moved = record.get("precision") not in (None, taken.name)
        began = f"this device has no {record.get('precision')} units, on which it began"
        return Choice(taken, began if moved else "")

    def measure() -> dict[str, float]:
        with context.progress.waiting("comparing the speed of fp32 and bf16"):
            return step_rates(parts, images, processes=context.processes.count)

    return parts.precision.choose(parts.device, measure)
