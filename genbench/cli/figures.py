"""Verbs that draw figures: the terms of a diffusion model's bound, and the noise schedules."""

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import OUT_HELP, NewFolder, check_new, check_out, say
from genbench.cli.verb import ConfigDir, Device, context_on, warnings_in_lines
from genbench.runtime.disk import whole_folder
from genbench.runtime.printable import complain

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def bound(
    run_dir: Annotated[Path, typer.Argument(help="The directory of a trained diffusion model.")],
    out: NewFolder,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            help="Test images; each takes one network evaluation per step. Default: 32, or all if there are"
            " fewer.",
        ),
    ] = None,
    device: Device = "auto",
    config_dir: ConfigDir = None,
) -> None:
    """Show where the bits of a diffusion model's variational bound come from, step by step.

    Written are terms.csv and terms.png: each term in bits per dimension against t, on the run's test images.
    """
    check_new(out)  # before the imports, which take seconds
    from genbench import app as application
    from genbench.evaluation.bound_terms import bound_figure

    source, _, seed = application.measuring(of_run=run_dir)
    with warnings_in_lines():
        model = application.load(run_dir, device=device)
    with warnings_in_lines(), whole_folder(out):
        terms = bound_figure(model, source, out, n=n, context=context_on(device, seed))
    say(
        f"bits per dimension, at most: {sum(terms):.4f} = L_0 {terms.first:.4f} + L_1 .. L_(T-1) "
        f"{terms.between:.4f} + L_T {terms.last:.2e}"
    )


@verbs.command()
def schedules(
    out: Annotated[Path, typer.Option(help=f"{OUT_HELP} Its ending decides the format: png, pdf, svg.")],
    steps: Annotated[int, typer.Option("--T", min=1, help="Number of diffusion steps.")] = 1000,
    config_dir: ConfigDir = None,
) -> None:
    """Draw alpha_bar and log-SNR of every noise schedule that is not learned."""
    check_out(out)
    from genbench.app.build import fixed_schedules
    from genbench.diffusion.schedule import MOST_STEPS
    from genbench.evaluation.pictures import check_figure, schedule_figure

    check_figure(out)
    if steps > MOST_STEPS:
        raise ValueError(f"--T is {steps}; it must be from 1 to {MOST_STEPS:,}, e.g. 1000")
    tables, refused = fixed_schedules(steps)
    for name, reason in refused.items():  # such as one that wants another number of steps
        complain(f"schedule={name} is not included: {reason}")
    if not tables:
        raise ValueError(f"no schedule has --T={steps} steps, as said above: take another number")
    schedule_figure({name: table.numpy() for name, table in tables.items()}, out)
