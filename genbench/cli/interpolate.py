"""Verb that shows the images between two latent codes of a trained model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.sampling_options import Model, PromptFile, PromptText, Seed, given_prompts
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

__all__ = ["verbs"]

verbs = typer.Typer()

PAIRS = 6


@verbs.command(
    "interpolate",
    cls=RunsItself,
    epilog=examples(
        [
            "genbench interpolate RUN --out DIR --pairs 4 --n 12",
            "genbench interpolate RUN --out DIR --between IMAGE IMAGE",
        ]
    ),
)
@dataclass(frozen=True)
class Interpolate:
    """Draw images between two latent codes of a model.

    The codes are drawn from the model's prior, or are those of two images (--between). Between them lie codes
    on an arc (spherical interpolation, Shoemake 1985), which are decoded. It writes grid.png, a row for each
    pair, and samples.npz: `samples`, uint8 [N, H, W] or [N, H, W, 3], row by row, and `share`, the place on
    the arc from 0 to 1.

    Models with latent codes: vae, flow, gan, vqvae, autoencoder, latent_diffusion. All of them but gan also
    encode images.
    """

    run_dir: Model
    out: NewFolder
    n: Annotated[
        int, typer.Option("--n", min=2, metavar="N", help="Number of images in a row, both ends included.")
    ] = 10
    pairs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of pairs of codes, a row each. Default: 6, or the number of prompts.",
        ),
    ] = None
    between: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="IMAGE IMAGE",
            help="Interpolate between these two images (PNG or JPEG of any size), as the model encodes them: "
            "the ends are reconstructions.",
        ),
    ] = None
    label: Annotated[
        int | None,
        typer.Option(
            metavar="CLASS",
            help="Class of all images of a conditional model, from 0. Default: a class for each row in turn; "
            "--between needs it.",
        ),
    ] = None
    prompt: PromptText = None
    prompts: PromptFile = None
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema
    seed: Seed = 0
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Write the images, after all that can be refused has been checked."""
        if self.between is not None and self.pairs is not None:
            raise ValueError("--between gives the only pair, and --pairs asks for several: give one of them")
        check_new(self.out)  # before the imports, which take seconds
        check_run(self.run_dir)
        from genbench.app import load
        from genbench.app.hub import fetched
        from genbench.evaluation.draw import check_places
        from genbench.evaluation.interpolation import arcs, write_interpolations
        from genbench.evaluation.prompts import prompt_remarks

        prompts = given_prompts(self.prompt, self.prompts)
        with warnings_in_lines():
            model = load(fetched(self.run_dir), device=self.device, weights=self.weights)
        pairs = 1 if self.between is not None else self.pairs or len(prompts) or PAIRS
        check_places(pairs * self.n, model.shape, self.out)
        context = context_on(self.device, self.seed)
        found = arcs(model, pairs, between=self.between, label=self.label, prompts=prompts, context=context)
        for remark in prompt_remarks(model, prompts):
            complain(remark)
        with whole_folder(self.out):
            write_interpolations(found, self.n, self.out, context)
        rows = f"{counted(pairs, 'row')} of {counted(self.n, 'image')}"
        say(f"{rows} in {self.out}: grid.png, samples.npz")
