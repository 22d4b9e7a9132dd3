"""The verbs of the console script that compare runs; what they need is imported when they run."""

import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.files import OUT_HELP, check_new, check_out, deliver, say
from genbench.runtime.disk import whole_folder
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.report.table import Query

__all__ = ["verbs"]

verbs = typer.Typer()

RunsDir = Annotated[Path, typer.Argument(help="The directory that holds the runs, at any depth.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only runs with model=ddpm,vae, schedule!=linear, run=*seed1*, fid<3, ..; all of them where"
        " it is repeated.",
    ),
]
By = Annotated[
    str,
    typer.Option(
        metavar="KEYS",
        help="What a row stands for, with commas, such as model,schedule,loss: the mean over its runs. By"
        " default everything but the seed; `run`: one row a run.",
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        metavar="KEYS", help="The measures to show, with commas, such as fid,recall,bits/dim,passes."
    ),
]
Sort = Annotated[
    str, typer.Option(metavar="KEY", help="A column: metrics from best to worst, others upwards; -KEY: back.")
]


class Format(StrEnum):
    """How a report is written."""

    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


ENDINGS = {
    "md": Format.md,
    "csv": Format.csv,
    "json": Format.json,
    "tex": Format.latex,
    "latex": Format.latex,
    "html": Format.html,
    "htm": Format.html,
}


@verbs.command()
def report(
    runs_dir: RunsDir,
    by: By = "",
    filters: Filters = None,
    sort: Sort = "",
    columns: Columns = "",
    format: Annotated[
        Format | None,
        typer.Option(
            help="How the report is written; by default as --out ends. To a terminal: tables as wide as it"
            " is, to a pipe: md."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help=f"{OUT_HELP} Without it: the terminal.")] = None,
    assets: Annotated[
        bool, typer.Option("--assets", help="Of html: --out is a new folder, with pictures as files.")
    ] = False,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys", help="List what the options above may name, with its values, instead of a table."
        ),
    ] = False,
    every: Annotated[
        bool,
        typer.Option("--all", help="With --keys: also what no run has, and what tells none apart."),
    ] = False,
) -> None:
    """Compare all finished runs below a directory: a table for each data set and protocol.

    A row is the mean over the seeds of one configuration, columns are what tells rows apart and what was
    measured; csv and json have one row a run, with each setting in which runs differ (--by: as the table).
    """
    from genbench.report import query
    from genbench.report.compare import compare
    from genbench.report.formats.data import csv_text, json_text
    from genbench.report.formats.latex import latex
    from genbench.report.formats.markdown import markdown
    from genbench.report.formats.terminal import print_comparison
    from genbench.report.page import html, write_folder
    from genbench.runtime.progress import terminal

    if every and not keys:
        raise ValueError("--all belongs to --keys: give both, or neither")
    if keys:
        found = compare(runs_dir, asked("", "", ""), conditions=filters or [])
        named = query.keys(found.runs, every=every)
        deliver(named, out)
        return
    chosen = Format.html if assets and format is None else format_of(out, format, assets=assets)
    check_target(out, chosen, assets=assets)
    found = compare(runs_dir, asked(by, sort, columns), conditions=filters or [])
    if chosen in (Format.csv, Format.json):
        # With a row a run all of them are there, also those that no table counts.
        for note in [*(found.beginning if by else ()), *found.ending]:
            complain(note)
    if out is None and format is None and sys.stdout.isatty():
        print_comparison(found, terminal())
        return
    title = runs_dir.resolve().name
    if out is not None and assets:
        with whole_folder(out):
            write_folder(found, out, title=title)
        say(f"{out / 'index.html'} is written")
        return
    write = {
        Format.md: markdown,
        Format.csv: csv_text,
        Format.json: json_text,
        Format.latex: latex,
        Format.html: lambda found: html(found, title=title),
    }
    deliver(write[chosen](found), out)


@verbs.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A run, or a directory with runs of one configuration.")],
    b: Annotated[Path, typer.Argument(help="Another one, of the same data and protocol.")],
    of_a: Annotated[
        list[str] | None,
        typer.Option("--a", metavar="KEY=VALUE", help="Only these runs of A, as --filter of a report."),
    ] = None,
    of_b: Annotated[
        list[str] | None, typer.Option("--b", metavar="KEY=VALUE", help="Only these runs of B.")
    ] = None,
) -> None:
    """Say which of two models is better, and how sure that is.

    Runs of the same seeds are compared pair by pair (Student's t), others by Welch's test: two-sided at 95 %,
    with Holm's correction over the measures. Of single runs, intervals over samples are shown and nothing is
    sure: they say nothing of the noise of training.
    Two models of one sweep: genbench compare runs runs --a model=ddpm --b model=vae.
    """
    from genbench.report.two_sided import compare_sides, read_sides, sides_table
    from genbench.runtime.progress import terminal

    sides = read_sides(a, b, of_a or [], of_b or [])
    measures = compare_sides(*sides)
    named = [" ".join([str(path), *(conditions or [])]) for path, conditions in ((a, of_a), (b, of_b))]
    terminal().print(sides_table(measures, named, sides))


@verbs.command()
def serve(
    runs_dir: RunsDir,
    by: By = "",
    filters: Filters = None,
    sort: Sort = "",
    columns: Columns = "",
    host: Annotated[
        str, typer.Option(help="The address to listen at. Another than localhost shows the runs to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
) -> None:
    """Show the HTML report in a browser, made anew as the runs below the directory go on, until Ctrl-C."""
    from genbench.report.compare import compare
    from genbench.report.page import html
    from genbench.report.page.serve import LiveReport, server

    query, title = asked(by, sort, columns), runs_dir.resolve().name

    def write(state: str) -> str:
        found = compare(runs_dir, query, conditions=filters or [], unfinished=True)
        return html(found, title=title, state=state)

    live = LiveReport(runs_dir, write)
    live.page()  # what is wrong is said here, not in the browser
    with server(live, host, port) as listening:
        # A shell has what it starts in the background ignore SIGINT, and nothing else would end this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        named = f"[{host}]" if ":" in host else host
        say(f"http://{named}:{listening.server_port}/ shows {runs_dir}; Ctrl-C ends it")
        if not listening.is_local:
            complain(
                f"--host {host} shows these runs, without a password, to all who can reach this machine; "
                "127.0.0.1 shows them here alone, and through ssh -L elsewhere"
            )
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            say("stopped")


def asked(by: str, sort: str, columns: str) -> "Query":
    """What the options ask of the tables."""
    from genbench.report.query import listed
    from genbench.report.table import Query

    return Query(by=listed(by), sort=sort, columns=listed(columns))


def check_target(out: Path | None, format: Format, *, assets: bool) -> None:
    """Raise ValueError where the report cannot be written, before any work is done."""
    if not assets:
        check_out(out)
        return
    if format is not Format.html or out is None:
        raise ValueError("--assets writes a folder of html: give --format html --out DIR")
    check_new(out)


def format_of(out: Path | None, asked: Format | None, *, assets: bool) -> Format:
    """The format that is asked for, or that a file's ending names; Markdown without either.

    Raises ValueError where an ending names none, or another one than that which is asked for.
    """
    if out is None or assets:
        return asked or Format.md
    ending = out.suffix.lower().removeprefix(".")
    named = ENDINGS.get(ending)
    if ending and named is None and asked is None:
        legal = ", ".join(f".{known}" for known in ENDINGS)
        raise ValueError(f"--out {out} says no format by its ending: legal are {legal}; or give --format")
    if asked is not None and named not in (None, asked):
        raise ValueError(
            f"--out {out} ends as {named} does, --format is {asked}: leave out one, or change the ending"
        )
    return asked or named or Format.md
