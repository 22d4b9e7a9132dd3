"""Verb that scores averages of a run's weights of several lengths, from the snapshots of its training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import check_new, say
from genbench.cli.sampling_options import Measured, listed
from genbench.cli.verb import (
    ConfigDir,
    Device,
    RunDir,
    RunsItself,
    check_run,
    context_on,
    examples,
    warnings_in_lines,
)
from genbench.runtime.disk import whole_folder
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.evaluation.ema_sweep import EmaSweep

__all__ = ["verbs"]

CLOSE = 0.05
"""Error of a profile below which an average agrees closely with what the snapshots stand for."""

verbs = typer.Typer()


@verbs.command(
    "ema",
    cls=RunsItself,
    epilog=examples(
        ["genbench ema RUN --std 0.02,0.05,0.1,0.15,0.2 --out DIR", "genbench ema RUN --std 0.1 --keep"]
    ),
)
@dataclass(frozen=True)
class EmaLengths:
    """Find the best length of the EMA after the training.

    It needs a run that was trained with trainer.ema_snapshots=32. Averages of the weights of several lengths
    are rebuilt from its snapshots, and each is scored under the run's own protocol, beside the run's usual
    EMA and its raw weights. The first score is printed as a table, the best average marked.

    It writes table.csv (a row for each average, all metrics) and ema.png (that score against the length).
    With --keep the average of one length becomes a run of its own, for all other commands.
    """

    run_dir: RunDir
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Output folder; must be new or empty. With --keep it may be left out."
        ),
    ] = None
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Write the average, of one length, as a new run beside RUN: RUN-ema0.1 for --std 0.1.",
        ),
    ] = False
    std: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="Lengths of the averages: the standard deviation of their weight over time, as a share of "
            "the training, up to 0.2886 (the plain mean), separated by commas.",
        ),
    ] = "0.02,0.05,0.1,0.15,0.2"
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=20,
            metavar="N",
            help="Number of samples for each average. Default: as many as the run drew.",
        ),
    ] = None
    settings: Measured = None
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Check the options, rebuild and score each average, write and print the table, and retain an average
        where that is asked for.
        """
        check_run(self.run_dir)
        stds = listed(self.std, float, "--std")
        if not stds:
            raise ValueError("--std is ''; it must be numbers separated by commas, e.g. 0.05,0.1,0.2")
        if self.keep and len(stds) > 1:
            raise ValueError(f"--std is {self.std}, and --keep retains one average: give one length")
        from genbench.training.power_average import exponent_of

        for std in stds:
            exponent_of(std)  # raises on a length that no average has
        if self.out is None and not self.keep:
            raise ValueError("--out is missing: give a new folder for the table and the figure")
        if self.out is not None:
            check_new(self.out)  # before the imports, which take seconds
        from genbench.evaluation.kept_average import check_kept, keep_average

        if self.keep:
            check_kept(self.run_dir, stds[0])
        found = self.measured(stds)
        say(in_rows(found))
        warn_of_profiles(found)
        if found.held_out is not None:
            say(f"held-out images (reference for a perfect model): {found.held_out:.4g}")
        if self.out is not None:
            say(f"{self.out}: table.csv (all metrics), ema.png")
        if self.keep:
            kept = keep_average(found.model, self.run_dir, stds[0], found.scores, found.networks)
            say(f"{kept}: a run with this average")

    def measured(self, stds: Sequence[float]) -> "EmaSweep":
        """Return the scores of averages of some lengths, with their table and figure in --out where one is
        given.
        """
        from genbench import app as application
        from genbench.evaluation.ema_sweep import ema_sweep

        source, metrics, seed = application.measuring(self.settings or [], of_run=self.run_dir)
        metrics = metrics.of_size(metrics.samples if self.n is None else self.n, "--n")
        with TemporaryDirectory() as unseen:
            out = self.out or Path(unseen)
            with warnings_in_lines(), whole_folder(out):
                return ema_sweep(
                    lambda weights: application.load(self.run_dir, device=self.device, weights=weights),
                    self.run_dir,
                    stds,
                    out,
                    source=source,
                    metrics=metrics,
                    context=context_on(self.device, seed),
                )


def warn_of_profiles(found: "EmaSweep") -> None:
    """Warn of averages for which the snapshots do not stand well, see CLOSE."""
    for std, error in zip(found.curve["std"], found.curve["profile_error"], strict=True):
        if error > CLOSE:
            complain(
                f"the snapshots are {error:.1%} from the average of --std {std:g}, which is close below "
                f"{CLOSE:.0%} alone: take another length, or train with more trainer.ema_snapshots"
            )


def in_rows(found: "EmaSweep") -> str:
    """Return the first score of each average, the best marked, as a Markdown table; below the averages the
    training's own EMA and its raw weights.
    """
    import pandas as pd

    from genbench.evaluation.ema_sweep import TITLES
    from genbench.records.metric_kinds import KINDS
    from genbench.report.formats.markdown import frame_markdown
    from genbench.report.pivot import BEST

    curve, kind = found.curve, KINDS.get(found.score.kind)
    scores, better = curve[str(found.score)], 0 if kind is None else kind.better
    best = (better * scores).idxmax() if better and len(scores) > 1 else None
    rows = [
        (f"std {std:g}", f"{BEST} {score:.4g}" if row == best else f"{score:.4g}", f"{error:.1%}")
        for row, std, score, error in zip(
            curve.index, curve["std"], scores, curve["profile_error"], strict=True
        )
    ]
    rows += [(TITLES[of], f"{height:.4g}", "") for of, height in found.heights.items()]
    title = found.score.kind if kind is None else kind.title
    return frame_markdown(pd.DataFrame(rows, columns=["average", title, "error of its profile"]))
