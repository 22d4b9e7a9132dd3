"""Verbs that evaluate: runs and images by any protocol, and the metrics themselves against known values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.named_function import import_function, is_function
from genbench.cli.output import check_out, check_whole
from genbench.cli.verb import (
    WEIGHTS_HELP,
    ConfigDir,
    Device,
    RunsItself,
    Weights,
    context_on,
    examples,
    warnings_in_lines,
)
from genbench.config.groups import options, settings_of
from genbench.records.untrusted_files import check_appendable
from genbench.runtime.downloads import downloads
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.data import ImageSource
    from genbench.evaluation.given_images import GivenImages
    from genbench.evaluation.reevaluate import Reevaluation
    from genbench.metrics import Metrics
    from genbench.runtime.context import Context

__all__ = ["verbs"]

ARRAY_FILES = (".npz", ".npy", ".pt", ".pth")  # whose results lie beside them under their name without it

verbs = typer.Typer()


@verbs.command(
    "evaluate",
    cls=RunsItself,
    epilog=examples(
        [
            "genbench evaluate RUN --set 'scores=[fid,kid]' --set metrics.samples=10000",
            "genbench evaluate FILE.npz --data cifar10 --data-root PATH",
        ]
    ),
)
@dataclass(frozen=True)
class Evaluate:
    """Evaluate a run again, or images from any other tool.

    A run is evaluated by its own data and metrics unless an option says otherwise; images need --data. The
    result is printed and appended to a file, under its own protocol; nothing is overwritten.
    """

    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="Directory of a run; a folder of images; FILE.npz with `samples`, uint8 [N, H, W] or "
            "[N, H, W, C], and optionally `labels`, [N] (or `arr_0` and `arr_1`); FILE.npy; FILE.pt; or "
            "MODULE:FUNCTION, a Python function of (n, seed) that returns such an array.",
        ),
    ]
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Data set to compare with: digits, .. Default: the run's own."),
    ] = None
    data_root: Annotated[
        str | None, typer.Option(metavar="PATH", help="Folder of that data set, where it needs one.")
    ] = None
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="standard, full, likelihood, or another option of conf/metrics; it replaces all scores of "
            "the run, while --set changes single settings. Default: the run's own.",
        ),
    ] = None
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Feature network: inception, classifier, digits, .., or a file of Inception weights.",
        ),
    ] = None
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="STATS.npz",
            help="Also measure FID to these statistics: mean `mu` and covariance `sigma` of features, as "
            "pytorch-fid, clean-fid, EDM and ADM write them.",
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting of data and metrics: metrics.samples=10000, 'scores=[fid,kid]', "
            "data.size=64, seed=1. May be repeated.",
        ),
    ] = None
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to append the result to, as a line of JSON. Default: evaluations.jsonl in a run's "
            "directory; NAME.evaluations.jsonl beside images; MODULE.FUNCTION.evaluations.jsonl here.",
        ),
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="RUNS",
            help="Directory of runs in which the images get a folder of their own, so that genbench report"
            " RUNS shows them as a row.",
        ),
    ] = None
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Name of that row. Default: the file's, without ending."),
    ] = None
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Evaluate, append the result to its file, and print it."""
        path, words = self.checked_out(), [*self.overrides(), *(self.settings or [])]
        # The configuration of a run may be somebody else's.
        with warnings_in_lines(), downloads(allowed=not self.is_run):
            record = self.evaluated(words)
        from genbench.records.json_lines import append_line
        from genbench.report import print_quality
        from genbench.runtime.progress import terminal

        append_line({"target": str(self.target), "overrides": words, **record}, path)  # before it is printed
        print_quality(record, terminal())
        complain(f"appended to {path}")  # on stderr: stdout holds the result alone

    @property
    def is_run(self) -> bool:
        """True for a run's directory, False for images."""
        return (self.target / "run.json").is_file()

    def checked_out(self) -> Path:
        """Return the file to append to. Raises ValueError where the options cannot be, before any work."""
        target = self.target
        if not (target.exists() or is_function(target)):
            raise ValueError(
                f"{target} does not exist: give a run's directory, a folder of images, FILE.npz, FILE.npy, "
                "FILE.pt, or MODULE:FUNCTION"
            )
        if (target / "genbench.json").is_file() and not self.is_run:
            raise ValueError(
                f"{target} is an exported model: draw from it by genbench sample {target} --out DIR, "
                "and evaluate DIR"
            )
        self.check_kind()
        if self.data is None and not self.is_run:
            raise ValueError(
                f"{target} is not a run's directory: choose the data set to compare it with by --data, e.g. "
                "--data digits"
            )
        beside = target.with_name(f"{self.stem}.evaluations.jsonl")
        path = self.out or (target / "evaluations.jsonl" if self.is_run else beside)
        check_whole(path)
        if not path.parent.is_dir():
            raise ValueError(f"--out {path} is in a folder that does not exist: make {path.parent} first")
        check_out(path)
        check_appendable(path)  # no link: a directory that somebody sent could lead elsewhere by it
        return path

    def check_kind(self) -> None:
        """Raise ValueError where the target is a folder of runs, or options do not belong to images."""
        target = self.target
        runs = [] if self.is_run else [*target.glob("*/run.json"), *target.glob("*/*/run.json")]
        if runs:
            raise ValueError(
                f"{target} holds {len(runs)} runs and is none itself: give one of them, such as "
                f"{min(runs).parent}"
            )
        if self.is_run and self.record is not None:
            raise ValueError(f"{target} is a run, which is a row of its reports already: leave out --record")
        if self.name is not None and self.record is None:
            raise ValueError(f"--as {self.name} names a row: give --record RUNS too, or leave it out")
        if self.record is not None and self.row_name in options("model"):
            raise ValueError(f"{self.row_name} is the name of a family: name the row otherwise, by --as NAME")
        if not self.is_run and self.weights != Weights.ema:
            raise ValueError(f"--weights {self.weights} is of a run, and {target} is images: leave it out")

    @property
    def stem(self) -> str:
        """The name of the target without the ending of a file of arrays; of a function with dots alone."""
        target = self.target
        return target.stem if target.suffix.lower() in ARRAY_FILES else target.name.replace(":", ".")

    @property
    def row_name(self) -> str:
        """Name of the row that images get by --record."""
        return self.stem if self.name is None else self.name

    def overrides(self) -> list[str]:
        """Return the options as overrides of the configuration, each value exactly as it was given.
        Raises ValueError on unknown options.
        """
        from genbench.app.words import assigned

        for group, option in (("data", self.data), ("metrics", self.metrics)):
            if option is not None and option not in options(group):
                folder = "; for a folder give --data image_folder --data-root PATH" * (group == "data")
                raise ValueError(f"--{group} is {option!r}: choose from {', '.join(options(group))}{folder}")
        rootless = self.data is not None and "root" not in settings_of("data", self.data)
        if self.data_root is not None and rootless:
            raise ValueError(f"--data-root is {self.data_root}, and data={self.data} has none: leave it out")
        words = {"data": self.data, "data.root": self.data_root, "metrics": self.metrics}
        known = options("features")
        if self.features is not None and self.features not in known:
            if not Path(self.features).is_file():
                raise ValueError(
                    f"--features is {self.features!r}: choose from {', '.join(known)}, or give a file"
                )
            words |= {"features": "inception", "features.weights": self.features}  # the file of a network
        else:
            words["features"] = self.features
        return [assigned(key, value) for key, value in words.items() if value is not None]

    def evaluated(self, words: list[str]) -> dict[str, Any]:
        """Return the record of the target's evaluation by the data and metrics that overrides choose."""
        from genbench import app as application
        from genbench.evaluation.reevaluate import Origin, Reevaluation
        from genbench.evaluation.reference_file import read_reference
        from genbench.runtime.device import keep_memory

        source, metrics, seed = application.measuring(words, of_run=self.target if self.is_run else None)
        if not metrics.scores and not (self.is_run and metrics.likelihood_samples != 0):
            raise ValueError(
                f"nothing would be measured of {self.target}: choose --metrics standard"
                + ("" if self.is_run else "; a likelihood needs a model")
            )
        if self.reference is not None:
            metrics = read_reference(self.reference).added_to(metrics)
        keep_memory()  # of batches, which would be fetched anew page by page
        context = context_on(self.device, seed)
        reevaluation = Reevaluation(source, metrics, context)
        if self.reference is not None:
            reevaluation.evaluator(captions=False)  # refuses features of another network before any work
        if not self.is_run:
            return self.evaluated_images(reevaluation, words)
        origin = Origin.of(self.target)  # before the model, of a run that goes on meanwhile
        model = application.load(self.target, device=str(context.device), weights=self.weights)
        return reevaluation.model(model, self.weights, origin)

    def evaluated_images(self, reevaluation: "Reevaluation", words: list[str]) -> dict[str, Any]:
        """Return the record of the evaluation of images; with --record they become a row of reports too."""
        source, metrics, context = reevaluation.source, reevaluation.metrics, reevaluation.context
        if self.record is None:
            return reevaluation.images(self.images(source, metrics, context))
        from genbench import app as application
        from genbench.evaluation.recorded_images import Row, folder_of_row, record_images

        data, config = application.data_configuration(words)
        folder = folder_of_row(self.record, self.row_name, data, context.seed)  # before any work
        given = self.images(source, metrics, context)
        record = reevaluation.images(given)
        record_images(given, record, Row(str(self.target), self.row_name, data, config), folder)
        complain(f"recorded in {folder}: genbench report {self.record} shows it")
        return record

    def images(self, source: "ImageSource", metrics: "Metrics", context: "Context") -> "GivenImages":
        """Read the images of the target, or have its function draw them."""
        from genbench.evaluation.given_images import read
        from genbench.evaluation.image_function import draw_images

        if is_function(self.target):
            function = import_function(str(self.target))
            return draw_images(function, str(self.target), source, metrics, context)
        return read(
            self.target,
            shape=source.shape,
            num_classes=source.num_classes,
            class_names=source.class_names,
        )


@verbs.command(epilog=examples(["genbench selfcheck", "genbench selfcheck --data-root PATH --weights FILE"]))
def selfcheck(
    data_root: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Folder of CIFAR-10, to compare with published values too."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="File of Inception weights, to compare with published values too."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Check the metrics against closed forms and other libraries.

    With --data-root and --weights also against published numbers. It takes minutes. Exit code 1 on mismatch.
    """
    from genbench.metrics.selfcheck import check_all, verdict_table
    from genbench.runtime.progress import terminal

    for option, path in (("--data-root", data_root), ("--weights", weights)):
        if path is not None and not Path(path).exists():  # before the checks that take minutes
            raise ValueError(f"{option} is {path}, which does not exist: name another path, or leave it out")
    context = context_on(device)
    with warnings_in_lines():
        found = check_all(
            data_root=data_root, weights=weights, device=context.device, progress=context.progress
        )
    terminal().print(verdict_table(found))
    if any(check.missed for check in found):
        raise typer.Exit(1)  # so that a script may rely on it
