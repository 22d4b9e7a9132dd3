"""Verb that makes a workspace in wandb; what it needs is imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from genbench.cli.output import OUT_HELP, check_out, deliver, say
from genbench.cli.verb import examples
from genbench.config.groups import options

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(epilog=examples(["genbench dashboard --project NAME --data digits"]))
def dashboard(
    project: Annotated[str, typer.Option(metavar="NAME", help="wandb project: tracker.project of the runs.")],
    entity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="wandb account or team. Default: the one that you are logged in as."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Only runs on this data set, such as digits: FIDs on two sets do not compare.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the specification as JSON; send nothing.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"{OUT_HELP} Only with --dry-run. Default: stdout."),
    ] = None,
) -> None:
    """Make a wandb workspace that compares families.

    Panels: FID and other scores against images seen and against seconds, quality against cost, likelihood by
    kind of bound, a table of samples by family, losses. Its address is printed.
    """
    if data is not None and data not in options("data"):
        raise ValueError(f"--data is {data!r}: choose from {', '.join(options('data'))}")
    if not project.strip():
        raise ValueError(f"--project is {project!r}; it must name a project, as tracker.project does")
    if out is not None and not dry_run:
        raise ValueError(f"--out {out} needs --dry-run: a workspace that is saved leaves no file")
    from genbench.tracking.options import check_wandb_name

    check_wandb_name(project, "--project")
    if entity is not None:
        check_wandb_name(entity, "--entity")
    check_out(out)
    try:
        from genbench.tracking.wandb_workspace import specification, workspace
    except ModuleNotFoundError as error:  # an extra, which few need
        raise ValueError(
            f'{error.name} is not installed: pip install -e ".[dashboard]" -c constraints.txt'
        ) from error
    if dry_run:
        deliver(f"{specification(workspace(project, entity or '', data=data))}\n", out)
        return
    from genbench.tracking.wandb import at_the_server, default_entity

    with at_the_server():  # whose errors become one message
        made = workspace(project, entity or default_entity(), data=data).save()  # type: ignore[no-untyped-call]
        say(made.url)
