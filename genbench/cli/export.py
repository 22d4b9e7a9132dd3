"""Verbs that write a trained model as a folder for other people, and upload it."""

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.verb import (
    WEIGHTS_HELP,
    ConfigDir,
    Device,
    RunDir,
    Weights,
    check_run,
    context_on,
    examples,
    warnings_in_lines,
)
from genbench.runtime.disk import whole_folder

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(epilog=examples(["genbench export RUN --out DIR --license mit"]))
def export(
    run_dir: RunDir,
    out: NewFolder,
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema,
    license_name: Annotated[
        str | None,
        typer.Option("--license", metavar="NAME", help="Licence for the model card, such as mit, cc-by-4.0."),
    ] = None,
    device: Device = "auto",
    config_dir: ConfigDir = None,
) -> None:
    """Write a trained model into a folder of its own.

    The folder needs neither the run nor its data: weights, configuration, model card, a grid of samples.
    `genbench sample FOLDER` and `genbench.load("FOLDER")` use it; `genbench push` uploads it. A run may be
    exported before it is finished; its last checkpoint is then taken.
    """
    check_new(out)  # before the imports, which take seconds
    check_run(run_dir)
    from genbench.app.export import export as write

    with warnings_in_lines(), whole_folder(out):
        write(run_dir, out, weights=weights, license_name=license_name, context=context_on(device))
    say(f"{out}: model.safetensors, genbench.json, README.md, samples.png")


@verbs.command(epilog=examples(["genbench push FOLDER USER/NAME --private"]))
def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder that `genbench export` wrote.")],
    repository: Annotated[
        str, typer.Argument(metavar="USER/NAME", help="Repository on the Hub; made if it does not exist.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private; an existing one stays as it is.")
    ] = False,
) -> None:
    """Upload an exported model to the Hub of Hugging Face.

    `genbench sample hf:USER/NAME` and `genbench.load("hf:USER/NAME")` then use it, anywhere. The token is
    taken from HF_TOKEN or from `hf auth login`; it needs write access.
    """
    from genbench.app.hub import push as upload

    say(upload(folder, repository, private=private))
