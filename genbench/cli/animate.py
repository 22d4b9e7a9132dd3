"""Verb that shows samples coming out of noise, as an animation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import OUT_HELP, check_out, say
from genbench.cli.sampling_options import (
    Label,
    Model,
    PromptFile,
    PromptText,
    Sampler,
    Seed,
    Settings,
    Steps,
    given_prompts,
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
from genbench.runtime.printable import complain, counted

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(
    "animate",
    cls=RunsItself,
    epilog=examples(
        [
            "genbench animate RUN --out FILE.gif --n 16 --frames 40",
            "genbench animate RUN --out FILE.webp --sampler ddim --steps 50",
        ]
    ),
)
@dataclass(frozen=True)
class Animate:
    """Show samples coming out of noise, as an animation.

    Each frame is a grid of the samples after some of the steps in which they are drawn; the last frame stays
    for 2 seconds before it begins again. Small images are enlarged. Autoregressive and masked models begin
    with grey images, one of latents shows what these decode to.

    Models that draw step by step: ddpm, flow_matching, consistency, cascade, latent_diffusion,
    autoregressive, masked_diffusion, vqvae.
    """

    run_dir: Model
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help=f"{OUT_HELP} Its ending decides the format: webp (small, exact), gif (256 colours) or "
            "mp4 (needs ffmpeg).",
        ),
    ]
    n: Annotated[int, typer.Option("--n", min=1, max=256, metavar="N", help="Number of samples.")] = 16
    frames: Annotated[
        int, typer.Option("--frames", min=2, max=500, metavar="N", help="Number of states shown.")
    ] = 36
    label: Label = None
    prompt: PromptText = None
    prompts: PromptFile = None
    steps: Steps = None
    sampler: Sampler = None
    settings: Settings = None
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema
    seed: Seed = 0
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Draw and write the animation, after all that can be refused has been checked."""
        check_out(self.out)  # before the imports, which take seconds
        check_run(self.run_dir)
        from genbench.app import load
        from genbench.app.hub import fetched
        from genbench.evaluation.animation import animation_of, check_animation, save_animation
        from genbench.evaluation.prompts import asked, prompt_remarks

        check_animation(self.out)
        prompts = given_prompts(self.prompt, self.prompts)
        overrides = sampling_settings(self.sampler, self.steps, self.settings)
        with warnings_in_lines():
            model = load(fetched(self.run_dir), device=self.device, weights=self.weights, overrides=overrides)
        context = context_on(self.device, self.seed)
        given = asked(model, self.n, label=self.label, prompts=prompts, device=context.device)
        for remark in prompt_remarks(model, prompts):
            complain(remark)
        states = animation_of(model, self.n, given.y, frames=self.frames, context=context)
        rows = given.texts[:: given.each]  # a row for each prompt
        save_animation(states, self.out, columns=given.each if rows else None, labels=rows)
        say(f"{counted(self.n, 'sample')} in {counted(self.frames, 'frame')}: {self.out}")
