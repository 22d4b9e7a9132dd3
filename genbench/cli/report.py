"""Verbs that compare runs: tables, two models side by side; they import late."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import OUT_HELP, check_new, check_out, deliver, say
from genbench.cli.verb import RunsItself, examples
from genbench.runtime.disk import whole_folder
from genbench.runtime.garbage import few_collections
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.report.compare import Comparison
    from genbench.report.table import Query

__all__ = ["By", "Columns", "Filters", "RunsDir", "Sort", "asked", "verbs"]

verbs = typer.Typer()

RunsDir = Annotated[Path, typer.Argument(metavar="RUNS", help="Directory that holds the runs, at any depth.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only runs with model=ddpm,vae, schedule!=linear, run=*seed1*, fid<3, ..; repeat to combine"
        " (AND).",
    ),
]
By = Annotated[
    str,
    typer.Option(
        metavar="KEYS",
        help="Keys of a row, separated by commas, such as model,schedule,loss; a row is the mean over its"
        " runs. Default: all settings but the seed; `run`: one row per run.",
    ),
]
Columns = Annotated[
    str,
    typer.Option(
        metavar="KEYS",
        help="Columns to show, separated by commas, such as fid,recall,precision_score,bits/dim,NFE.",
    ),
]
Sort = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Sort by a column: metrics from best to worst, others ascending; -KEY: descending.",
    ),
]


class Format(StrEnum):
    """Format of a report: Markdown, CSV, JSON, LaTeX or one HTML page."""

    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"
    html = "html"


ENDINGS = {format.value: format for format in Format} | {"tex": Format.latex, "htm": Format.html}


@verbs.command(
    "report",
    cls=RunsItself,
    epilog=examples(
        ["genbench report RUNS --by model,schedule --sort fid", "genbench report RUNS --out FILE.html"]
    ),
)
@dataclass(frozen=True)
class Report:
    """Compare all finished runs below a directory.

    There is a table for each data set and protocol. A row is the mean over the seeds of one configuration;
    columns are the settings in which rows differ, and the metrics. csv and json have one row per run, with
    each setting in which runs differ (--by: as the table).
    """

    runs_dir: RunsDir
    by: By = ""
    filters: Filters = None
    sort: Sort = ""
    columns: Columns = ""
    format: Annotated[
        Format | None,
        typer.Option(
            help="Output format. Default: by the ending of --out, else md (on a terminal, tables as wide as"
            " it is)."
        ),
    ] = None
    out: Annotated[Path | None, typer.Option(metavar="FILE", help=f"{OUT_HELP} Default: stdout.")] = None
    assets: Annotated[
        bool, typer.Option("--assets", help="With html: --out is a new folder, with pictures as files.")
    ] = False
    keys: Annotated[
        bool,
        typer.Option(
            "--keys", help="List the keys for the options above, with their values, instead of a table."
        ),
    ] = False
    sweep: Annotated[
        str, typer.Option(metavar="NAME", help="Only the runs of this sweep, as it says at its end.")
    ] = ""
    every: Annotated[
        bool,
        typer.Option("--all", help="With --keys: also keys that no run has or that are equal in all runs."),
    ] = False

    def run(self) -> None:
        """Read the runs and write the report, after all options have been checked."""
        from genbench.report import query

        if self.every and not self.keys:
            raise ValueError("--all belongs to --keys: give both, or neither")
        if self.keys:
            self.check_keys_alone()
            found = self.compared(asked("", "", ""))
            deliver(query.keys(found.runs, every=self.every), self.out)
            return
        chosen = Format.html if self.assets and self.format is None else self.format_of_output()
        if not self.assets:
            check_out(self.out)
        elif chosen is not Format.html or self.out is None:
            raise ValueError("--assets writes a folder of html: give --format html --out DIR")
        else:
            check_new(self.out)
        tables = asked(self.by, self.sort, self.columns)
        with few_collections():
            self.write(self.compared(tables), chosen)

    def compared(self, query: "Query") -> "Comparison":
        """Return the comparison of the runs that the options choose; raises as `compare` does."""
        from genbench.report.compare import compare

        return compare(self.runs_dir, query, conditions=self.filters or [], sweep=self.sweep)

    def check_keys_alone(self) -> None:
        """Raise ValueError on options beside --keys that would be ignored: a list of names is no table."""
        given = {"--by": self.by, "--sort": self.sort, "--columns": self.columns, "--format": self.format}
        if ignored := [name for name, value in (given | {"--assets": self.assets}).items() if value]:
            raise ValueError(f"--keys lists names instead of a table: leave out {' and '.join(ignored)}")
        check_out(self.out)

    def write(self, found: "Comparison", chosen: Format) -> None:
        """Write a comparison in a format to the terminal, a pipe, a file or a folder, as the options say."""
        from genbench.report.formats.data import csv_text, json_text
        from genbench.report.formats.latex import latex
        from genbench.report.formats.markdown import markdown
        from genbench.report.formats.terminal import print_comparison
        from genbench.report.page import html, write_folder
        from genbench.runtime.progress import terminal

        if chosen in (Format.csv, Format.json):
            # With a row per run all of them are there, also those that no table counts.
            for note in [*(found.beginning if self.by else ()), *found.ending]:
                complain(note)
        if self.out is None and self.format is None and sys.stdout.isatty():
            print_comparison(found, terminal())
            return
        title = self.runs_dir.resolve().name
        if self.out is not None and self.assets:
            with whole_folder(self.out):
                write_folder(found, self.out, title=title)
            say(f"{self.out / 'index.html'} is written")
            return
        write: dict[Format, Callable[[Comparison], str]] = {
            Format.md: markdown,
            Format.csv: csv_text,
            Format.json: json_text,
            Format.latex: latex,
            Format.html: lambda found: html(found, title=title),
        }
        deliver(write[chosen](found), self.out)

    def format_of_output(self) -> Format:
        """Return the format that --format or the ending of --out names; Markdown without either.
        Raises ValueError where an ending names none, or another one than --format.
        """
        out, asked = self.out, self.format
        if out is None or self.assets:
            return asked or Format.md
        ending = out.suffix.lower().removeprefix(".")
        named = ENDINGS.get(ending)
        if ending and named is None and asked is None:
            known = ", ".join(f".{known}" for known in ENDINGS)
            raise ValueError(
                f"--out {out}: its ending names no format: choose from {known}; or give --format"
            )
        if asked is not None and named not in (None, asked):
            raise ValueError(
                f"--out {out} ends as {named} does, --format is {asked}: leave out one, or change the ending"
            )
        return asked or named or Format.md


@verbs.command(
    epilog=examples(["genbench compare RUNS_A RUNS_B", "genbench compare RUNS --a model=ddpm --b model=vae"])
)
def compare(
    a: Annotated[
        Path, typer.Argument(metavar="RUNS_A", help="A run, or a directory with runs of one configuration.")
    ],
    b: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUNS_B",
            help="Another one, on the same data and protocol. Default: RUNS_A, for --a and --b.",
        ),
    ] = None,
    of_a: Annotated[
        list[str] | None,
        typer.Option("--a", metavar="KEY=VALUE", help="Only these runs of A, as --filter of report."),
    ] = None,
    of_b: Annotated[
        list[str] | None, typer.Option("--b", metavar="KEY=VALUE", help="Only these runs of B.")
    ] = None,
) -> None:
    """Compare two models, with significance tests.

    Runs of the same three seeds or more are compared pair by pair (Student's t), others by Welch's test:
    two-sided at 95 %, with Holm's correction over the metrics. For single runs p is of their samples alone,
    and nothing is called significant: samples do not show how much trainings vary.
    """
    from genbench.report.conclusion import sides_conclusion
    from genbench.report.two_sided import compare_sides, read_sides, sides_table
    from genbench.runtime.printable import printable
    from genbench.runtime.progress import terminal

    b = a if b is None else b
    sides = read_sides(a, b, of_a or [], of_b or [])
    measures = compare_sides(*sides)
    named = [" ".join([str(path), *(conditions or [])]) for path, conditions in ((a, of_a), (b, of_b))]
    console = terminal()
    words = printable(sides_conclusion(measures, sides))
    # A pipe gets one line, as of a report; a terminal would break a word at its edge.
    console.print(words, end="\n\n", markup=False, highlight=False, soft_wrap=not console.is_terminal)
    console.print(sides_table(measures, named, sides))


def asked(by: str, sort: str, columns: str) -> "Query":
    """Return the query of the tables: keys of a row, a column to sort by, columns to show.
    Raises ValueError on an option that names none.
    """
    from genbench.report.query import listed
    from genbench.report.table import Query

    for option, value in (("--by", by), ("--sort", sort.removeprefix("-") or sort), ("--columns", columns)):
        if value.strip(" ,-") == "" != value:
            raise ValueError(f"{option} is {value!r}; it must name columns: `report RUNS --keys` lists them")
    return Query(by=listed(by), sort=sort, columns=listed(columns))
