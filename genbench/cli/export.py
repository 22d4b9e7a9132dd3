"""Verbs that write a trained model as a folder for other people, and upload it."""

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import NewFolder, check_new, say
from genbench.cli.verb import ConfigDir, Device, Weights, context_on, warnings_in_lines
from genbench.runtime.disk import whole_folder

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command()
def export(
    run_dir: Annotated[Path, typer.Argument(help="The directory of a run, finished or not.")],
    out: NewFolder,
    weights: Annotated[Weights, typer.Option(help="EMA or final raw weights.")] = Weights.ema,
    license_name: Annotated[
        str | None, typer.Option("--license", help="Licence for the model card, such as mit or cc-by-4.0.")
    ] = None,
    device: Device = "auto",
    config_dir: ConfigDir = None,
) -> None:
    """Write a trained model into a folder that needs no run: weights, configuration, model card, a grid.

    `genbench sample FOLDER` and `genbench.load(FOLDER)` use it. It can be pushed to the Hub of Hugging Face.
    """
    check_new(out)  # before the imports, which take seconds
    from genbench.app.export import export as write

    with warnings_in_lines(), whole_folder(out):
        write(run_dir, out, weights=weights, license_name=license_name, context=context_on(device))
    say(f"{out}: model.safetensors, genbench.json, README.md, samples.png")


@verbs.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A folder that `genbench export` wrote.")],
    repository: Annotated[str, typer.Argument(metavar="USER/NAME", help="Its name on the Hub.")],
    private: Annotated[bool, typer.Option(help="Let nobody else see it, where it is new.")] = False,
) -> None:
    """Upload an exported model to the Hub of Hugging Face; `genbench.load("hf:USER/NAME")` loads it.

    The token is taken from HF_TOKEN or from `hf auth login`; it needs the right to write.
    """
    from genbench.app.hub import push as upload

    say(upload(folder, repository, private=private))
