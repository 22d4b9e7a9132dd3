"""Verbs of the HTML report on a local port: the page, blind votes on it, and the table of such votes."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import check_whole, say
from genbench.cli.report import By, Columns, Filters, RunsDir, Sort, asked
from genbench.cli.verb import RunsItself, examples
from genbench.records.untrusted_files import check_appendable
from genbench.runtime.disk import check_writable
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.report.compare import Comparison
    from genbench.report.page.blind import Ballot
    from genbench.report.page.serve import LiveReport, Server

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command(
    "serve",
    cls=RunsItself,
    epilog=examples(["genbench serve RUNS --port 8000", "genbench serve RUNS --votes votes.jsonl"]),
)
@dataclass(frozen=True)
class Serve:
    """Show the HTML report in a browser, updated as runs go on.

    Its address is printed; Ctrl-C ends it. It reads the runs and changes nothing.

    With --votes there is a second page, which shows the samples of two runs, or of a run and held-out images,
    without names, and asks which look more like real images. Votes are appended to the file, and
    `genbench votes FILE` makes a table of them.
    """

    runs_dir: RunsDir
    by: By = ""
    filters: Filters = None
    sort: Sort = ""
    columns: Columns = ""
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="Address to listen at; any other than localhost shows the runs to others."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 8000
    votes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Ask for blind votes; appended to this file, one line of JSON each."
        ),
    ] = None
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="With --votes: seed of the order of pairs and images.")
    ] = 0

    def run(self) -> None:
        """Check the options, make the page once, then serve it until it is stopped."""
        from genbench.report.page import html
        from genbench.report.page.serve import LiveReport

        if not self.host.strip():
            raise ValueError(
                f"--host is {self.host!r}; give an address, such as 127.0.0.1, or 0.0.0.0 for all"
            )
        self.check_votes()
        title = self.runs_dir.resolve().name
        asked(self.by, self.sort, self.columns)
        live = LiveReport(self.runs_dir, lambda state: html(self.compared(), title=title, state=state))
        live.page()  # what is wrong is said here, not in the browser
        with self.listening(live, self.ballot()) as listening:
            # A shell has what it starts in the background ignore SIGINT, and nothing else would end this.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.introduce(listening)
            try:
                listening.serve_forever()
            except KeyboardInterrupt:
                say("stopped")

    def check_votes(self) -> None:
        """Raise ValueError where votes cannot be appended to their file, or others could send them."""
        from genbench.report.page.serve import is_loopback

        if self.votes is None:
            if self.seed:
                raise ValueError("--seed belongs to --votes: give both, or neither")
            return
        if not is_loopback(self.host):
            raise ValueError(
                f"--votes with --host {self.host} would let all who can reach this machine vote: leave out "
                "--host, and use ssh -L elsewhere"
            )
        check_whole(self.votes)
        check_appendable(self.votes)
        if not self.votes.parent.is_dir():
            raise ValueError(f"--votes {self.votes}: there is no folder {self.votes.parent}: make it first")
        check_writable(self.votes.parent)

    def compared(self) -> "Comparison":
        """Return the comparison of the runs as they are now; raises as `compare` does."""
        from genbench.report.compare import compare

        query = asked(self.by, self.sort, self.columns)
        return compare(self.runs_dir, query, conditions=self.filters or [], unfinished=True)

    def ballot(self) -> "Ballot | None":
        """Return what shows pairs and takes votes, or None without --votes; remarks on what is left out."""
        if self.votes is None:
            return None
        from genbench.cli.entrants import entrants
        from genbench.report.page.blind import Ballot

        found, data = entrants(self.compared().runs)
        return Ballot(found, self.votes, data=data, seed=self.seed)

    def listening(self, live: "LiveReport", ballot: "Ballot | None") -> "Server":
        """Return the server, which listens. Raises ValueError where the address cannot be used."""
        from genbench.report.page.serve import server

        try:
            return server(live, self.host, self.port, ballot=ballot)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
            raise ValueError(
                f"--host {self.host!r} --port {self.port} cannot be listened at ({why}): give an address of "
                "this machine, such as 127.0.0.1, and a port that is free and allowed, or 0 for any"
            ) from error

    def introduce(self, listening: "Server") -> None:
        """Print the addresses of the pages, and a warning where others can reach them."""
        named = f"[{self.host}]" if ":" in self.host else self.host
        address = f"http://{named}:{listening.server_port}/"
        if self.votes is not None:
            say(f"{address}vote asks for blind votes, which are appended to {self.votes}")
        say(f"{address} shows {self.runs_dir}; Ctrl-C ends it")
        if not listening.is_local:
            complain(
                f"--host {self.host} shows these runs, without a password, to all who can reach this "
                "machine; 127.0.0.1 shows them here alone, and through ssh -L elsewhere"
            )


@verbs.command(epilog=examples(["genbench votes votes.jsonl"]))
def votes(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="File of votes, as `genbench serve RUNS --votes` writes it."),
    ],
) -> None:
    """Make a table of blind votes: strengths with 95 % intervals.

    Strengths are of Bradley and Terry's model: log odds of being chosen over an average entrant. What was
    always or never chosen has no finite strength, and is shown as unbounded.
    """
    from genbench.report.formats.markdown import note, rows_markdown
    from genbench.report.votes import read_votes, vote_table

    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist: genbench serve RUNS --votes {file} writes it")
    found, damaged = read_votes(file)
    if not found:
        raise ValueError(f"{file} holds no vote: genbench serve RUNS --votes {file} asks for some")
    table = vote_table(found, damaged)
    say(rows_markdown(table.heads, table.rows))
    for text in table.notes:
        say(note(text))
