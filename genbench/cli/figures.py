"""Verbs that draw figures: the terms of a bound on the likelihood, and the noise schedules."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import OUT_HELP, NewFolder, check_new, check_out, say
from genbench.cli.verb import ConfigDir, Device, RunDir, check_run, context_on, examples, warnings_in_lines
from genbench.runtime.disk import whole_folder
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(epilog=examples(["genbench bound RUN --out DIR --n 64"]))
def bound(
    run_dir: RunDir,
    out: NewFolder,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            metavar="N",
            help="Number of test images; each takes one network evaluation for each step of diffusion, or a "
            "single one for a VAE. Default: 32, or all if there are fewer.",
        ),
    ] = None,
    device: Device = "auto",
    config_dir: ConfigDir = None,
) -> None:
    """Split bits/dim by steps of diffusion, or layers of a VAE.

    The variational bound is a sum of terms, one for each diffusion step, or for the pixels and each layer of
    latents, the finest first. It writes terms.csv and terms.png: each term but the last, L_T, which is
    printed, in bits per dimension against t, averaged over test images of the run's data.
    """
    check_new(out)  # before the imports, which take seconds
    check_run(run_dir)
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


@verbs.command(
    epilog=examples(
        [
            "genbench schedules --out FILE.png --T 1000",
            "genbench schedules linear cosine --images --out FILE.png",
        ]
    )
)
def schedules(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Options of conf/schedule. Default: all of them."),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help=f"{OUT_HELP} Its ending decides the format: png, pdf or svg."),
    ],
    steps: Annotated[
        int, typer.Option("--T", min=1, metavar="N", help="Number of diffusion steps of each schedule.")
    ] = 1000,
    images: Annotated[
        bool,
        typer.Option("--images", help="Draw an image on its way to noise instead, a row for each schedule."),
    ] = False,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whose image --images takes: an option of conf/data (its first training image), or the path "
            "of an image file.",
        ),
    ] = "digits",
    config_dir: ConfigDir = None,
) -> None:
    """Draw the noise schedules, and print them as a table.

    It draws alpha_bar (the share of the data that is left) and log-SNR = log(alpha_bar / (1 - alpha_bar))
    against t for each option of conf/schedule, of --config-dir and of plug-ins; a learned one as it is before
    training. --images draws one image, with the same noise, at nine times of each schedule.
    """
    check_out(out)
    from genbench.app.build import noise_schedules
    from genbench.diffusion.schedule import MOST_STEPS
    from genbench.evaluation.figures import check_figure, is_near, schedule_figure

    check_figure(out)
    if steps > MOST_STEPS:
        raise ValueError(f"--T is {steps}; it must be from 1 to {MOST_STEPS:,}, e.g. 1000")
    asked = [part for name in names or [] for part in name.split(",") if part]
    found, refused = noise_schedules(steps, list(dict.fromkeys(asked)))
    for name, reason in refused.items():  # such as one that wants another number of steps
        complain(f"schedule={name} is not included: {reason}")
    if not found:
        raise ValueError(f"no schedule has --T={steps} steps, as said above: take another number")
    tables = {name: table.numpy() for name, table in found.items()}
    if images:
        draw_images(data, found, out)
    else:
        schedule_figure(tables, out)
    say(schedule_table(tables))
    for one, other in combinations(tables, 2):
        if is_near(tables[one], tables[other]):
            gap = abs(tables[one] - tables[other]).max()
            say(f"{one} and {other} nearly coincide: alpha_bar differs by at most {gap:.1g}")
    say(f"{out} is written")


def draw_images(data: str, tables: "Mapping[str, Tensor]", out: Path) -> None:
    """Draw an image on its way to noise by several schedules into a file.
    data: an option of conf/data, or the path of an image. Raises ValueError where it is neither.
    """
    from genbench import app as application
    from genbench.config.groups import options
    from genbench.evaluation.forward_images import first_image, forward_figure, image_file

    context = context_on("cpu")
    if Path(data).is_file():
        x0 = image_file(Path(data))
    elif data in options("data"):
        with warnings_in_lines():
            source, _, _ = application.measuring([f"data={data}"])
            x0 = first_image(source, context)
    else:
        legal = ", ".join(options("data"))
        raise ValueError(f"--data is {data}; it must be the path of an image file, or one of {legal}")
    forward_figure(x0, tables, out, context)


def schedule_table(tables: "Mapping[str, np.ndarray]") -> str:
    """Return alpha_bar of schedules at five times, and log-SNR at the ends of the grid, as lines of text.
    tables: name -> alpha_bar on the grid 0..T, (T + 1,) float64.
    """
    import numpy as np

    width = max(len("schedule"), *map(len, tables))
    lines = [
        f"{'':<{width}}  {'alpha_bar at t / T =':<31}  log-SNR at step",
        f"{'schedule':<{width}}  " + "".join(f"{head:>8}" for head in ("1/4", "1/2", "3/4", "1", "1", "T")),
    ]
    for name, alpha_bar in tables.items():
        T = len(alpha_bar) - 1
        shown = [f"{alpha_bar[round(share * T)]:>8.2g}" for share in (0.25, 0.5, 0.75, 1)]
        with np.errstate(divide="ignore"):  # infinite where nothing is left
            ends = [f"{np.log(each / (1 - each)):>8.1f}" for each in alpha_bar[[1, T]]]
        lines.append(f"{name:<{width}}  {''.join([*shown, *ends])}")
    return "\n".join(lines)
