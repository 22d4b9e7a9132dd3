"""Verbs that draw from a trained model: its images, and its scores over samplers, steps and guidance."""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.sampling_options import (
    Label,
    Measured,
    Model,
    PromptFile,
    PromptText,
    Sampler,
    Seed,
    Settings,
    Steps,
    given_prompts,
    listed,
    sampling_settings,
)
from genbench.cli.verb import (
    WEIGHTS_HELP,
    ConfigDir,
    Device,
    RunsItself,
    Weights,
    check_run,
    context_on,
    examples,
    warnings_in_lines,
)
from genbench.runtime.disk import whole_folder
from genbench.runtime.printable import complain, counted

if TYPE_CHECKING:
    from genbench.evaluation.sampler_sweep import Sweep

__all__ = ["verbs"]

IMAGES, EACH = 64, 8  # images that are drawn where --n is not given, and for each prompt

verbs = typer.Typer()


@verbs.command(
    "sample",
    cls=RunsItself,
    epilog=examples(
        [
            "genbench sample RUN --out DIR --n 16 --steps 20",
            "genbench sample RUN --out DIR --inpaint IMAGE --mask MASK",
            'genbench sample RUN --out DIR --prompt "a cat" --prompt "a dog"',
        ]
    ),
)
@dataclass(frozen=True)
class Sample:
    """Draw images of a trained model into a folder.

    It writes a PNG for each image (00.png, 01.png, ..), grid.png, and samples.npz: `samples`, uint8 [N, H, W]
    or [N, H, W, 3], with `labels`, int64 [N], of a conditional model, or `captions`, text [N], of a model
    of text. Nothing is overwritten.

    All families draw new images. Diffusion models also complete an image (--inpaint, --mask) or draw
    variations of it (--vary): PNG or JPEG of any size, center-cropped and resized to the model's. The grid
    then begins with that image.

    Batches are drawn like the evaluation's: the same seed, batch size and device give the same bytes.
    """

    run_dir: Model
    out: NewFolder
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            metavar="N",
            help="Number of images, a multiple of the number of prompts. Default: 64, or 8 for each prompt.",
        ),
    ] = None
    label: Label = None
    prompt: PromptText = None
    prompts: PromptFile = None
    steps: Steps = None
    sampler: Sampler = None
    settings: Settings = None
    inpaint: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Image to complete; needs --mask.")
    ] = None
    mask: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="Image whose white pixels (128 to 255) are redrawn; black stays."),
    ] = None
    vary: Annotated[Path | None, typer.Option(metavar="IMAGE", help="Draw variations of this image.")] = None
    strength: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Strength of --vary, in (0, 1]: near 0 the image itself, 1 ignores it. Default: 0.5.",
        ),
    ] = None
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema
    seed: Seed = 0
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Number of images drawn at once.")] = 64
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Draw and write the images, after all that can be refused has been checked."""
        check_new(self.out)  # before the imports, which take seconds
        check_run(self.run_dir)
        from genbench.app import load
        from genbench.app.hub import fetched, fetched_revision
        from genbench.evaluation.draw import check_places, choose, write
        from genbench.evaluation.prompts import asked, prompt_remarks

        overrides = sampling_settings(self.sampler, self.steps, self.settings)
        prompts = given_prompts(self.prompt, self.prompts)
        with warnings_in_lines():
            folder = fetched(self.run_dir)
            model = load(folder, device=self.device, weights=self.weights, overrides=overrides)
        context = context_on(self.device, self.seed)
        drawing = choose(model, inpaint=self.inpaint, mask=self.mask, vary=self.vary, strength=self.strength)
        n = (len(prompts) * EACH or IMAGES) if self.n is None else self.n
        check_places(n, model.shape, self.out)
        asked_for = asked(model, n, label=self.label, prompts=prompts, device=context.device)
        for remark in prompt_remarks(model, prompts):
            complain(remark)
        with whole_folder(self.out):  # all of its files appear at once, or none
            write(drawing, n, asked_for, self.out, batch_size=self.batch_size, context=context)
        say(f"{counted(n, 'image')} in {self.out}: a PNG each, grid.png, samples.npz")
        if commit := fetched_revision(folder):
            say(f"the model is of revision {commit}; the same again: {self.run_dir_at(commit)}")

    def run_dir_at(self, commit: str) -> str:
        """Return the name on the Hub of the model, with a commit as its revision."""
        return f"{str(self.run_dir).partition('@')[0]}@{commit}"


@verbs.command(
    "sampler-sweep",
    cls=RunsItself,
    epilog=examples(["genbench sampler-sweep RUN --out DIR --samplers ddim,heun --steps 5,10,20"]),
)
@dataclass(frozen=True)
class SamplerSweep:
    """Evaluate one model over samplers, steps, guidance scales.

    Nothing is trained. The first score of each combination is printed as a table, the best one marked. It
    writes table.csv (a row for each combination: network evaluations per sample, seconds per image, all
    metrics under the run's own protocol), distance.png (that score against evaluations per sample) and, with
    --scales, scales.png (a row of samples for each scale, from the same noise; of a model of text a column
    for each text of scales_prompts.txt). Where captions are scored and scales alone vary, guidance.png has
    FID and the shares of right captions against scales.
    """

    run_dir: Annotated[
        Path, typer.Argument(metavar="RUN", help="Directory of a run that samples in steps: ddpm, ..")
    ]
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Output folder; must be new or empty. Default: the next one of RUN/sampler_sweeps, where "
            "`genbench report` finds it.",
        ),
    ] = None
    samplers: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Options of conf/sampler (of a masked model: conf/unmasking), separated by commas. Default: "
            "the run's own.",
        ),
    ] = ""
    steps: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="Numbers of sampling steps (the key sampler.steps, or what the model has instead, such as "
            "solver.steps), separated by commas: 5,10,20,50. Default: the run's own.",
        ),
    ] = ""
    scales: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS",
            help="Guidance scales (the key guidance.scale), separated by commas: 0,1,2,4. Default: the "
            "run's own.",
        ),
    ] = ""
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=20,
            metavar="N",
            help="Number of samples for each row. Default: as many as the run drew.",
        ),
    ] = None
    settings: Measured = None
    validation: Annotated[
        bool,
        typer.Option(
            "--validation",
            help="Also score as many other samples against the validation images of the run, by which a "
            "report picks the best setting. Takes twice as long.",
        ),
    ] = False
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Check the options, evaluate each combination, and write and print the table."""
        if self.out is not None:
            check_new(self.out)  # before the imports, which take seconds
        check_run(self.run_dir)
        out = next_sweep(self.run_dir) if self.out is None else self.out
        from genbench import app as application
        from genbench.evaluation.sampler_sweep import SCALE, combinations
        from genbench.evaluation.sampler_sweep import sampler_sweep as sweep

        samplers, scales = listed(self.samplers, str, "--samplers"), listed(self.scales, float, "--scales")
        steps = listed(self.steps, int, "--steps")
        # In full: a model of another process has process.steps or solver.steps.
        steps_key = application.sampling_key(self.run_dir, "steps") if steps else "sampler.steps"
        todo = combinations({"sampler": samplers, steps_key: steps, SCALE: scales})
        source, metrics, seed = application.measuring(self.settings or [], of_run=self.run_dir)
        # Fewer samples for a first look, under a protocol that says so.
        metrics = metrics.of_size(metrics.samples if self.n is None else self.n, "--n")
        with warnings_in_lines(), whole_folder(out):
            found = sweep(
                lambda way: application.load(self.run_dir, device=self.device, overrides=way),
                todo,
                out,
                validation=self.validation,
                source=source,
                metrics=metrics,
                context=context_on(self.device, seed),
            )
        print_sweep(found)
        pictures = [name for name in ("guidance.png", "scales.png") if (out / name).is_file()]
        more = "".join(f", {name}" for name in pictures)
        say(f"{out}: table.csv (all metrics), distance.png{more}")


def next_sweep(run: Path) -> Path:
    """Return the folder for the next sweep of a run: 1, 2, .. of its `sampler_sweeps`. Raises ValueError for
    a model on the Hub, which has no place for it.
    """
    if str(run).startswith("hf:"):
        raise ValueError(f"{run} has no place for a sweep: give --out DIR")
    folder = run / "sampler_sweeps"
    return next(folder / str(i) for i in itertools.count(1) if not os.path.lexists(folder / str(i)))


def print_sweep(found: "Sweep") -> None:
    """Print the first score of a sweep, the best one marked: samplers, with their guidance scales, x steps;
    a row for each value where one setting varies. Then the score of real held-out images.
    """
    from genbench.report.formats.terminal import print_pivot
    from genbench.report.pivot import pivot_of_frame
    from genbench.runtime.progress import terminal

    table, varied = found.table.copy(), found.varied
    if len(varied) == 3:  # the numbers of steps remain the columns
        pairs = zip(table[varied[0]], table[varied[2]], strict=True)
        table[varied[0]] = [f"{name}, scale {scale:g}" for name, scale in pairs]
    pivot = pivot_of_frame(table, varied[0], varied[1], found.score) if len(varied) > 1 else None
    if pivot is not None:
        print_pivot(pivot, terminal())
    else:
        say(one_axis(found))
    if (held_out := found.held_out(found.score)) is not None:
        say(f"held-out images (reference for a perfect model): {held_out:.4g}{others_of(found)}")


def others_of(found: "Sweep") -> str:
    """Return the other scores of held-out images that a sweep shows, for the end of a line."""
    values = {title_of(score): found.held_out(score) for score in found.scores[1:]}
    return "".join(f", {title} {value:.4g}" for title, value in values.items() if value is not None)


def title_of(score: str) -> str:
    """Return the title of a score that is given by its full name."""
    from genbench.records.metric_kinds import KINDS

    key = score.partition("[")[0]
    return KINDS[key].title if key in KINDS else score


def one_axis(found: "Sweep") -> str:
    """Return the first scores and the cost of each setting as a Markdown table, the best of each marked."""
    from genbench.records.metric_kinds import KINDS
    from genbench.report.formats.markdown import frame_markdown
    from genbench.report.pivot import BEST

    shown = found.table[[*found.varied, "passes", "seconds_per_image"]]
    shown = shown.rename(columns={"passes": "NFE", "seconds_per_image": "seconds/image"})
    for score in found.scores:
        kind, values = KINDS.get(score.partition("[")[0]), found.table[score]
        best = None if kind is None or not kind.better or len(values) < 2 else (kind.better * values).idxmax()
        marked = [f"{BEST} {x:.4g}" if row == best else f"{x:.4g}" for row, x in values.items()]
        shown = shown.assign(**{title_of(score): marked})
    return frame_markdown(shown)
