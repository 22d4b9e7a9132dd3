"""The verbs of the console script that measure; what they need is imported when they run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genbench.cli.files import Weights, check_out, warnings_in_lines
from genbench.config.groups import CONF
from genbench.records.untrusted import check_appendable
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.evaluation.reevaluate import Reevaluation

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def evaluate(
    target: Annotated[
        Path,
        typer.Argument(
            help="A run's directory, a folder of images, or an .npz file with `samples`, uint8 [N, H, W] or "
            "[N, H, W, C], and optionally `labels`, [N]."
        ),
    ],
    data: Annotated[
        str | None, typer.Option(help="What to compare with; a run's own data where it is left out.")
    ] = None,
    data_root: Annotated[str | None, typer.Option(help="The folder of that data.")] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="standard, full, likelihood, or another option of conf/metrics: all of it, in the place of"
            " what a run was measured by; --set changes single settings of that."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="inception, classifier, digits, .., or the path of a file of Inception weights."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting of data and metrics: metrics.samples=10000, 'scores=[fid,kid]', "
            "data.size=64, seed=1. May be repeated.",
        ),
    ] = None,
    weights: Annotated[Weights, typer.Option(help="Of a run.")] = Weights.ema,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file that the result is appended to, as a line of JSON. Without it: evaluations.jsonl"
            " in a run's directory, NAME.evaluations.jsonl beside images."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure a run again, or images that came from any tool.

    Each result stands under its own protocol beside those that are there; nothing is overwritten.
    """
    if not target.exists():
        raise ValueError(f"{target} does not exist: give a run's directory, a folder of images, or FILE.npz")
    is_run = (target / "run.json").is_file()
    if data is None and not is_run:
        raise ValueError(f"{target} is no run: say what to compare it with by --data, e.g. --data digits")
    path = out or (target / "evaluations.jsonl" if is_run else beside(target))

    if not path.parent.is_dir():
        raise ValueError(f"--out {path} is in no folder that is there: make {path.parent} first")
    check_out(path)
    check_appendable(path)
    words = overrides(data, data_root, metrics, features) + (settings or [])
    with warnings_in_lines():
        reevaluation = reevaluation_of(words, target if is_run else None, device)
        record = of_run(reevaluation, target, weights) if is_run else of_images(reevaluation, target)
    from genbench.records.lines import append_line
    from genbench.report import print_quality
    from genbench.runtime.progress import terminal

    append_line({"target": str(target), "overrides": words, **record}, path)  # first: printing may fail
    print_quality(record, terminal())
    complain(f"appended to {path}")


def overrides(
    data: str | None, data_root: str | None, metrics: str | None, features: str | None
) -> list[str]:
    """The options as overrides of the configuration."""
    words = {"data": data, "data.root": data_root, "metrics": metrics}
    options = sorted(path.stem for path in (CONF / "features").glob("*.yaml"))
    if features is not None and features not in options:
        if not Path(features).is_file():
            raise ValueError(f"--features is {features!r}; it must be {', '.join(options)}, or a file")
        words |= {"features": "inception", "features.weights": features}
    else:
        words["features"] = features
    return [f"{key}={value}" for key, value in words.items() if value is not None]


def reevaluation_of(words: list[str], run_dir: Path | None, device: str) -> "Reevaluation":
    """The protocol that overrides ask for."""
    from genbench import app as application
    from genbench.evaluation.reevaluate import Reevaluation
    from genbench.runtime import device as devices
    from genbench.runtime.context import Context
    from genbench.runtime.progress import Progress, terminal

    source, metrics, seed = application.measuring(words, of_run=run_dir)
    devices.keep_memory()
    context = Context(devices.choose(device), seed, Progress(terminal(stderr=True)))
    return Reevaluation(source, metrics, context)


def of_run(reevaluation: "Reevaluation", run_dir: Path, weights: Weights) -> dict[str, Any]:
    """The measurements of a trained model."""
    from genbench import app as application
    from genbench.evaluation.reevaluate import Origin

    origin = Origin.of(run_dir)
    return reevaluation.model(
        application.load(run_dir, device=str(reevaluation.context.device), weights=weights), weights, origin
    )


def of_images(reevaluation: "Reevaluation", target: Path) -> dict[str, Any]:
    """The measurements of images on disk."""
    from genbench.evaluation.given_images import read

    source = reevaluation.source
    return reevaluation.images(read(target, shape=source.shape, num_classes=source.num_classes))


def beside(target: Path) -> Path:
    """Where the evaluations of images go: next to them."""
    return target.with_name(f"{target.name.removesuffix('.npz')}.evaluations.jsonl")


@verbs.command()
def selfcheck(
    data_root: Annotated[
        str | None, typer.Option(help="The folder of CIFAR-10, for the published anchors.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file of Inception weights, for the published anchors.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; of the anchors.")] = "auto",
) -> None:
    """Hold the metrics to closed forms, other libraries and published numbers; exit code 1 on a miss."""
    from genbench.metrics.selfcheck import check_all, verdict_table
    from genbench.runtime import device as devices
    from genbench.runtime.progress import Progress, terminal

    with warnings_in_lines():
        found = check_all(
            data_root=data_root,
            weights=weights,
            device=devices.choose(device),
            progress=Progress(terminal(stderr=True)),
        )
    terminal().print(verdict_table(found))
    if any(check.missed for check in found):
        raise typer.Exit(1)
