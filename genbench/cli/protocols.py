"""Verbs of locked protocols: their rules and commands, submissions of runs, and leaderboards of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import OUT_HELP, check_out, deliver, say
from genbench.cli.report import RunsDir
from genbench.cli.verb import RunsItself, examples

if TYPE_CHECKING:
    from rich.table import Table

    from genbench.report.protocol.checks import Check

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(epilog=examples(["genbench protocol", "genbench protocol digits_60s"]))
def protocol(
    name: Annotated[
        str, typer.Argument(metavar="[PROTOCOL]", help="A shipped one by its name, or a .yaml file.")
    ] = "",
) -> None:
    """List the protocols of leaderboards, or print one.

    A protocol fixes the data, the budget, the scores and the seeds; the model and its settings are free. The
    commands train runs that pass it, make a submission of them, and a page of all submissions.
    """
    from genbench.report.page.leaderboard import rules
    from genbench.report.protocol.file import names, read_protocol

    if not name:
        for each in names():
            say(f"{each}: {rules(read_protocol(each))}")
        return
    found = read_protocol(name)
    say(f"{found.name}, version {found.version}: {rules(found)}\n")
    say("\n".join(f"  {score}" for score in found.scores))
    say("\nIn place of ddpm, any model with any settings of its own:\n")
    say("\n".join(found.commands(name)))


@verbs.command(
    "submit",
    cls=RunsItself,
    epilog=examples(["genbench submit RUNS --protocol digits_60s --out FILE.json"]),
)
@dataclass(frozen=True)
class Submit:
    """Check runs against a protocol, and write a submission.

    All runs below the directory are checked; a row is one configuration with all seeds of the protocol. Only
    where every check passes, one JSON file is written: all figures, the settings, the commit, the versions
    and the sha256 of the files of each run. The same runs give the same bytes.
    """

    runs_dir: RunsDir
    protocol: Annotated[
        str, typer.Option(metavar="PROTOCOL", help="A shipped one by its name, or a .yaml file.")
    ]
    out: Annotated[Path | None, typer.Option(metavar="FILE", help=f"{OUT_HELP} Default: check only.")] = None

    def run(self) -> None:
        """Check the options and the runs, print the checks, and write the file where all pass."""
        check_out(self.out)
        if self.out is not None and self.out.suffix != ".json":
            raise ValueError(f"--out {self.out} must end in .json, by which a leaderboard finds it")
        from genbench.report.protocol.checks import checks
        from genbench.report.protocol.file import read_protocol
        from genbench.report.protocol.leaderboard import check_new_figures
        from genbench.report.protocol.submission import Submission, rows_of, submission_text
        from genbench.runtime.progress import terminal

        rules = read_protocol(self.protocol)
        rows, left_out = rows_of(self.runs_dir)
        found = [(row, checks(rules, row.runs)) for row in rows]
        for row, results in found:
            terminal().print(checks_table(row.name, results))
        faults = sum(len(check.faults) for _, results in found for check in results)
        for name, why in left_out.items():
            say(f"{name} cannot be submitted: {why}; finish it by the same command, or move it away")
        if faults or left_out or not found:
            raise ValueError(
                f"no submission to {rules.name}: {faults} failed checks, {len(left_out)} unfinished runs; "
                f"`genbench protocol {self.protocol}` prints the commands of runs that pass"
            )
        check_new_figures(self.out or self.runs_dir, Submission(rules, rows), {})
        text = submission_text(rules, rows)
        if self.out is None:
            say(f"All checks of {rules.name} pass; --out FILE.json writes the submission.")
            return
        deliver(text, self.out)


def checks_table(name: str, results: Sequence["Check"]) -> "Table":
    """Return the checks of one row as a table for the terminal, failed ones in red with the remedy."""
    from rich.table import Table
    from rich.text import Text

    from genbench.runtime.printable import in_one_line

    grid = Table(title=Text(in_one_line(name)), title_justify="left")
    for head in ("check", "result"):
        grid.add_column(head, overflow="fold")
    for check in results:
        faults = "\n".join(map(in_one_line, check.faults))
        grid.add_row(check.name, Text(faults or "passes", style="red" if faults else "green"))
    return grid


@verbs.command(epilog=examples(["genbench leaderboard FOLDER --out FILE.html"]))
def leaderboard(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of submissions, *.json.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help=f"{OUT_HELP} Default: stdout.")] = None,
) -> None:
    """Make one HTML page of the submissions in a folder.

    There is a table for each protocol, ranked by its first score, with bold where a row is better than every
    other at 95 % (Welch's test, Holm's correction). Files that are no valid submissions are listed with the
    reason.
    """
    check_out(out)
    from genbench.report.page.leaderboard import leaderboard_html
    from genbench.report.protocol.leaderboard import boards, read_submissions
    from genbench.runtime.printable import complain, flat

    found, left_out = read_submissions(folder)
    for name, why in left_out.items():
        complain(flat(f"{name} is left out: {why}"))
    if not found:
        raise ValueError(f"no file in {folder} is a valid submission: `genbench submit` writes them")
    deliver(leaderboard_html(boards(found), left_out, title=folder.resolve().name), out)
