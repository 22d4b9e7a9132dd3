"""Training budgets of runs in words, and the runs that did not spend theirs."""

from genbench.report.data_frame import DataFrame, cells
from genbench.report.numbers import written
from genbench.report.settings import is_timed

__all__ = ["budgets", "stopped_early"]


def budgets(frame: DataFrame) -> list[str]:
    """Return the training budget of each run in words, which runs that may be ranked share.

    Seconds, and times to a target, are equal on one device alone: 600 seconds on cpu, 60,000 images until
    fid 20 on cpu. Runs whose record names no budget have the number of images that they saw.
    """
    facts = zip(*(cells(frame, name) for name in ("budget", "device", "images_seen")), strict=True)
    return [
        f"{'unknown' if seen is None else seen} images seen"
        if words is None
        else f"{words} on {written(device)}"
        if is_timed(words)
        else str(words)
        for words, device, seen in facts
    ]


def stopped_early(frame: DataFrame) -> dict[str, int]:
    """Return the runs that trainer.patience ended before their budget was spent, with the images that each
    had seen by then.
    """
    facts = (cells(frame, name) for name in ("run", "ended_early", "images_seen"))
    return {str(run): int(str(seen or 0)) for run, why, seen in zip(*facts, strict=True) if why is not None}
