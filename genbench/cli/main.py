"""The console script `genbench VERB`: thin, and what a verb needs is imported when it runs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from genbench.cli import dashboard as cli_dashboard
from genbench.cli import evaluate as cli_evaluate
from genbench.cli.files import OUT_HELP, Weights, check_new, check_out, say, warnings_in_lines
from genbench.cli.report import verbs
from genbench.errors import Failure
from genbench.records.run_directory import version
from genbench.runtime.disk import explain, is_machine_fault, whole_folder
from genbench.runtime.memory import memory_for
from genbench.runtime.printable import complain, flat, spell_out_warnings
from genbench.runtime.streams import harden_streams

__all__ = ["main"]

T = TypeVar("T")

app = typer.Typer(
    help="Train, measure and compare families of generative image models under one protocol.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run a verb; what the user can mend is one line on stderr and exit code 2, failures and damage are 1."""
    app.add_typer(cli_dashboard.verbs)
    app.add_typer(cli_evaluate.verbs)
    app.add_typer(verbs)
    harden_streams(output_is_result=True)
    spell_out_warnings()
    try:
        with memory_for("this command", "free memory, or choose another --device"):
            run_verb()
    except OSError as error:
        complain(flat(explain(error)))
        sys.exit(1 if is_machine_fault(error) else 2)
    except ValueError as error:
        complain(flat(str(error)))
        sys.exit(2)
    except (FloatingPointError, Failure) as error:
        complain(flat(str(error)))
        sys.exit(1)


def run_verb() -> None:
    """Run the verb of the command line, up to the last byte of its output."""
    try:
        app(prog_name="genbench")
    finally:
        sys.stdout.flush()  # where that fails, it is told like any error, and not by the interpreter's exit


def print_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        say(f"genbench {version('genbench') or '(not installed)'}")
        raise typer.Exit


@app.callback()
def genbench(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, measure and compare families of generative image models under one protocol."""


@app.command()
def sample(
    run_dir: Annotated[Path, typer.Argument(help="The directory of a run, finished or not.")],
    out: Annotated[Path, typer.Option(help="The folder to write; one that is there must be empty.")],
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")] = 64,
    label: Annotated[
        int | None,
        typer.Option(
            help="The class of all images, of a conditional model. Without it: 0, 1, 2, .. in turn."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the sampling, of a model that has some.")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="Another sampler: an option of conf/sampler, with its own settings.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another setting of the sampling: sampler.*, solver.*, process.steps, guidance.scale, "
            "guidance.interval, variance.samples, model.temperature, as the model has them. May be repeated.",
        ),
    ] = None,
    inpaint: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Draw a part of this image anew; needs --mask.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="White (128 and more) is drawn anew, black is kept.")
    ] = None,
    vary: Annotated[Path | None, typer.Option(metavar="IMAGE", help="Draw images near this one.")] = None,
    strength: Annotated[
        float | None,
        typer.Option(help="How far --vary goes: near 0 is the image itself, 1 ignores it. Without it: 0.5."),
    ] = None,
    weights: Annotated[Weights, typer.Option(help="The average of the training, or its end.")] = Weights.ema,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that are drawn at once.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw images of a trained model into a folder.

    Written are a PNG an image (00.png, 01.png, ..), grid.png, and samples.npz: samples, uint8 [N, H, W] or
    [N, H, W, 3], and labels, int64 [N], of a conditional model. Nothing is overwritten.

    Any family draws images of its own. A diffusion model also completes (--inpaint) or varies (--vary) an
    image, PNG or JPEG of any size: its centre square, resized to the model's. The grid then begins with it.

    Batches are drawn like the evaluation's: the same seed, batch size and device give the same bytes.
    """
    check_new(out)
    from genbench.app import load
    from genbench.evaluation.draw import choose, labels, write
    from genbench.runtime.progress import Progress, terminal

    asked = {"sampler": sampler, "steps": steps}
    overrides = {key: value for key, value in asked.items() if value is not None}
    overrides |= dict(map(setting, settings or []))
    with warnings_in_lines():
        model = load(run_dir, device=device, weights=weights, overrides=overrides)
    place = next(model.parameters()).device
    drawing = choose(model, inpaint=inpaint, mask=mask, vary=vary, strength=strength)
    asked_for = labels(model, n, label, device=place)
    with whole_folder(out):
        write(
            drawing,
            n,
            asked_for,
            out,
            seed=seed,
            batch_size=batch_size,
            device=place,
            progress=Progress(terminal(stderr=True)),
        )
    say(f"{n} images in {out}: a PNG each, grid.png, samples.npz")


@app.command()
def sampler_sweep(
    run_dir: Annotated[Path, typer.Argument(help="The directory of a trained diffusion model.")],
    out: Annotated[Path, typer.Option(help="The folder to write; one that is there must be empty.")],
    samplers: Annotated[
        str, typer.Option(help="Options of conf/sampler, with commas; without it, the run's own.")
    ] = "",
    steps: Annotated[str, typer.Option(help="Numbers of steps, with commas, such as 5,10,20,50.")] = "",
    scales: Annotated[str, typer.Option(help="Scales of guidance, with commas, such as 0,1,2,4.")] = "",
    n: Annotated[
        int | None, typer.Option("--n", min=20, help="Samples a row; without it, as many as the run drew.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure one trained model over samplers, their steps and scales of guidance, without training again.

    Written are table.csv (a row for each combination: passes of the network a sample, seconds an image, all
    metrics under the run's own protocol), distance.png (the distance against passes) and, over scales,
    scales.png (one row of samples a scale, from the same noise).
    """
    check_new(out)

    from genbench import app as application
    from genbench.evaluation.sampler_sweep import sampler_sweep as sweep
    from genbench.evaluation.sampler_sweep import ways
    from genbench.report import frame_markdown
    from genbench.runtime import device as devices
    from genbench.runtime.progress import Progress, terminal

    todo = ways(listed(samplers, str), listed(steps, int), listed(scales, float))
    source, metrics, seed = application.protocol(run_dir)
    metrics.samples = n or metrics.samples
    with warnings_in_lines(), whole_folder(out):
        table = sweep(
            lambda way: application.load(run_dir, device=device, overrides=way),
            todo,
            out,
            source=source,
            metrics=metrics,
            seed=seed,
            device=devices.choose(device),
            progress=Progress(terminal(stderr=True)),
        )
    say(frame_markdown(table), nl=False)


@app.command()
def bound(
    run_dir: Annotated[Path, typer.Argument(help="The directory of a trained diffusion model.")],
    out: Annotated[Path, typer.Option(help="The folder to write; one that is there must be empty.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Test images; each takes a pass for each step.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Show where the bits of a diffusion model's bound come from, step by step.

    Written are terms.csv and terms.png: each term in bits a dimension against t, on the run's test images.
    """
    check_new(out)
    from genbench import app as application
    from genbench.evaluation.bound_terms import bound_figure
    from genbench.runtime import device as devices
    from genbench.runtime.progress import Progress, terminal

    source, _, seed = application.protocol(run_dir)
    with warnings_in_lines():
        model = application.load(run_dir, device=device)
    with warnings_in_lines(), whole_folder(out):
        terms = bound_figure(
            model,
            source,
            out,
            n=n,
            seed=seed,
            device=devices.choose(device),
            progress=Progress(terminal(stderr=True)),
        )
    say(
        f"bits a dimension, at most: {sum(terms):.4f} = L_0 {terms.first:.4f} + L_1 .. L_(T-1) "
        f"{terms.between:.4f} + L_T {terms.last:.2e}"
    )


@app.command()
def schedules(
    out: Annotated[Path, typer.Option(help=f"{OUT_HELP} Its ending decides the format: png, pdf, svg.")],
    steps: Annotated[int, typer.Option("--T", min=1, help="Steps of the grid.")] = 1000,
) -> None:
    """Draw alpha_bar and log-SNR of every noise schedule that is fixed; name those that no such T has."""
    check_out(out)
    from genbench.diffusion import schedule
    from genbench.evaluation.pictures import schedule_figure

    drawn = {}
    for name in ("Linear", "Cosine", "Geometric", "Sigmoid", "EDM", "ZeroTerminal"):
        try:
            drawn[name] = getattr(schedule, f"{name}Schedule")(steps).table.numpy()
        except ValueError as error:
            complain(f"{name} is left out: {error}")
    schedule_figure(drawn, out)


def setting(text: str) -> tuple[str, object]:
    """KEY=VALUE as a key and a value: a number, a list, true, false or null as in JSON, or else text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set is {text!r}; it must be KEY=VALUE, such as sampler.steps=20")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def listed(text: str, kind: Callable[[str], T]) -> list[T]:
    """The parts of a list with commas. Raises ValueError where one is not of its kind."""
    try:
        return [kind(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise ValueError(f"{text!r} is no list of {kind.__name__}s with commas between them") from error
