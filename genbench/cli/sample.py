"""Verbs that draw from a trained model: its images, and its scores over samplers, steps and guidance."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.verb import ConfigDir, Device, RunsItself, Weights, context_on, warnings_in_lines
from genbench.runtime.disk import whole_folder

__all__ = ["verbs"]

T = TypeVar("T", bound=str | float)
KINDS: dict[Callable[[str], str | float], str] = {str: "names", int: "whole numbers", float: "numbers"}

verbs = typer.Typer()


@verbs.command("sample", cls=RunsItself)
@dataclass(frozen=True)
class Sample:
    """Draw images of a trained model into a folder.

    Written are a PNG an image (00.png, 01.png, ..), grid.png, and samples.npz: samples, uint8 [N, H, W] or
    [N, H, W, 3], and labels, int64 [N], of a conditional model. Nothing is overwritten.

    Any family draws images of its own. A diffusion model also completes (--inpaint) or varies (--vary) an
    image, PNG or JPEG of any size, center-cropped and resized to the model's. The grid then begins with it.

    Batches are drawn like the evaluation's: the same seed, batch size and device give the same bytes.
    """

    run_dir: Annotated[
        Path, typer.Argument(help="The directory of a run, a folder of export, or hf:USER/NAME.")
    ]
    out: NewFolder
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 64
    label: Annotated[
        int | None,
        typer.Option(help="Class of all images, for a conditional model. Default: all classes in turn."),
    ] = None
    steps: Annotated[int | None, typer.Option(help="Sampling steps, where the model has them.")] = None
    sampler: Annotated[
        str | None, typer.Option(help="Another sampler: an option of conf/sampler, with its own settings.")
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another setting of the sampling: sampler.*, solver.*, process.steps, guidance.scale, "
            "guidance.interval, variance.samples, model.temperature, as the model has them. May be repeated.",
        ),
    ] = None
    inpaint: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Redraw a part of this image; needs --mask.")
    ] = None
    mask: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="White (128 and more) is redrawn, black stays.")
    ] = None
    vary: Annotated[Path | None, typer.Option(metavar="IMAGE", help="Draw images like this one.")] = None
    strength: Annotated[
        float | None,
        typer.Option(help="How far --vary goes: near 0 is the image itself, 1 ignores it. Default: 0.5."),
    ] = None
    weights: Annotated[Weights, typer.Option(help="EMA or final raw weights.")] = Weights.ema
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0
    batch_size: Annotated[int, typer.Option(min=1, help="Number of images drawn at once.")] = 64
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Draw and write the images, after all that can be refused has been checked."""
        check_new(self.out)  # before the imports, which take seconds
        from genbench.app import load
        from genbench.app.hub import fetched
        from genbench.evaluation.draw import check_places, choose, labels, write

        overrides = self.overrides()
        with warnings_in_lines():
            model = load(fetched(self.run_dir), device=self.device, weights=self.weights, overrides=overrides)
        context = context_on(self.device, self.seed)
        drawing = choose(model, inpaint=self.inpaint, mask=self.mask, vary=self.vary, strength=self.strength)
        check_places(self.n, model.shape, self.out)
        asked_for = labels(model, self.n, self.label, device=context.device)
        with whole_folder(self.out):  # all of its files appear at once, or none
            write(drawing, self.n, asked_for, self.out, batch_size=self.batch_size, context=context)
        say(f"{self.n} images in {self.out}: a PNG each, grid.png, samples.npz")

    def overrides(self) -> dict[str, object]:
        """Return the settings that the options change. Raises ValueError where two change the same one."""
        asked = {"sampler": self.sampler, "steps": self.steps}
        found: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
        for key, value in map(setting, self.settings or []):
            if key in found:
                raise ValueError(f"{key} is given twice, as {found[key]} and as {value}: give it once")
            found[key] = value
        return found


@verbs.command("sampler-sweep", cls=RunsItself)
@dataclass(frozen=True)
class SamplerSweep:
    """Evaluate one trained model over samplers, their steps and guidance scales, without training again.

    Written are table.csv (a row for each combination: network evaluations per sample, seconds per image, all
    metrics under the run's own protocol), distance.png (the distance against evaluations) and, over scales,
    scales.png (one row of samples per scale, from the same noise).
    """

    run_dir: Annotated[Path, typer.Argument(help="The directory of a trained diffusion model.")]
    out: NewFolder
    samplers: Annotated[
        str, typer.Option(help="Options of conf/sampler, separated by commas. Default: the run's own.")
    ] = ""
    steps: Annotated[str, typer.Option(help="Numbers of steps, separated by commas: 5,10,20,50.")] = ""
    scales: Annotated[str, typer.Option(help="Guidance scales, separated by commas, such as 0,1,2,4.")] = ""
    n: Annotated[
        int | None, typer.Option("--n", min=20, help="Samples per row. Default: as many as the run drew.")
    ] = None
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Check the options, evaluate each combination, and write and print the table."""
        check_new(self.out)  # before the imports, which take seconds
        from genbench import app as application
        from genbench.evaluation.sampler_sweep import combinations
        from genbench.evaluation.sampler_sweep import sampler_sweep as sweep
        from genbench.report import frame_markdown

        axes = (
            listed(self.samplers, str, "--samplers"),
            listed(self.steps, int, "--steps"),
            listed(self.scales, float, "--scales"),
        )
        todo = combinations(*axes)
        source, metrics, seed = application.measuring(of_run=self.run_dir)
        # Fewer samples for a first look, under a protocol that says so.
        metrics = metrics.of_size(metrics.samples if self.n is None else self.n, "--n")
        with warnings_in_lines(), whole_folder(self.out):
            table = sweep(
                lambda way: application.load(self.run_dir, device=self.device, overrides=way),
                todo,
                self.out,
                source=source,
                metrics=metrics,
                context=context_on(self.device, seed),
            )
        say(frame_markdown(table), nl=False)


def setting(text: str) -> tuple[str, object]:
    """Return KEY=VALUE as a key and a value: a number, list, true, false or null as in JSON, or else text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError(f"--set is {text!r}; it must be KEY=VALUE, such as sampler.steps=20")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value  # a word such as ddim, which JSON would have in quotes


def listed(text: str, kind: Callable[[str], T], option: str) -> list[T]:
    """Return the parts of a comma-separated list, none of an empty text; option: its name, for messages.
    Raises ValueError where a part is not of its kind, is missing, or stands there twice.
    """
    message = f"{option} is {text!r}; it must be {KINDS[kind]} separated by commas, each of them once"
    parts = [part.strip() for part in text.split(",")] if text else []
    try:
        found = [kind(part) for part in parts]
    except ValueError as error:
        raise ValueError(message) from error
    if "" in parts or len({*found}) < len(found):
        raise ValueError(message)
    return found
