"""Console script `genbench VERB`: its verbs, and what its errors become; verbs import late what they need."""

import sys
from typing import Annotated

import typer

from genbench.cli import (
    animate,
    dashboard,
    demo,
    doctor,
    ema,
    evaluate,
    export,
    figures,
    interpolate,
    plugin,
    protocols,
    report,
    sample,
    serve,
)
from genbench.cli.output import say
from genbench.cli.usage import ParserError, Verbs, explain_words, help_page
from genbench.errors import Damaged, Failure
from genbench.records.run_directory import version
from genbench.runtime.disk import explain, is_machine_fault
from genbench.runtime.memory import memory_for
from genbench.runtime.passwords import check_words
from genbench.runtime.printable import complain, flat, spell_out_warnings
from genbench.runtime.streams import harden_streams

__all__ = ["app", "main"]


EPILOG = """\
`genbench VERB --help` describes a verb, with an example.

Exit codes: 0 done; 1 failed (diverged, disk, memory, ..); 2 a wrong command, or a file that cannot be used; 3
trained, but not evaluated; 130 stopped, and continued by the same command.
"""


def print_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        say(f"genbench {version('genbench') or '(not installed)'}")
        raise typer.Exit


def genbench(
    show_version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, evaluate and compare families of generative image models under one protocol."""


def complete(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what the shell offers for a word of `genbench train`, given the words before it."""
    from genbench.app.completion import suggestions

    return suggestions(ctx.params.get("words") or [], incomplete)


Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides.", autocompletion=complete)
]


def train(words: Overrides = None) -> None:
    """Train and evaluate models: genbench train model=ddpm."""


def assembled() -> typer.Typer:
    """Return the console script with its verbs, in the order in which its help lists them."""
    made = typer.Typer(
        cls=Verbs,
        no_args_is_help=True,
        callback=genbench,
        epilog=EPILOG,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # as markup, [fid,kid] and all else in brackets would not be printed
        subcommand_metavar="VERB ...",
    )
    made.command()(train)  # for its line in the help; `main` runs it
    for module in (
        sample,
        animate,
        demo,
        interpolate,
        evaluate,
        ema,
        report,
        protocols,
        serve,
        figures,
        export,
        plugin,
        dashboard,
        doctor,
    ):
        made.add_typer(module.verbs)  # each module holds related verbs, with light imports
    return made


app = assembled()


def main() -> None:
    """Run the verb of the command line, and exit with its code.
    2: a command, or a file that it reads, that cannot be used, in one line on stderr; 1: work that failed, or
    the machine.
    """
    if sys.argv[1:2] == ["train"]:  # its words are Hydra's, and its streams may close while it trains
        from genbench.cli.train_help import answered

        if answered(sys.argv[2:], "genbench train"):
            return
        from genbench.app import train as run_words

        run_words(sys.argv[2:])
        return
    harden_streams(output_is_result=True)  # a full disk behind a pipe is an error
    spell_out_warnings()
    try:
        check_words(sys.argv[1:])
        with memory_for("this command", "free memory, or do less at once"):
            try:
                code = app(prog_name="genbench", standalone_mode=False)  # its errors come here
            finally:
                sys.stdout.flush()  # an error here is reported like any other, not by the interpreter at exit
        sys.exit(code or 0)
    except ParserError as error:
        if page := help_page(error):
            say(page)
        complain(flat(explain_words(error)))
        sys.exit(2)
    except OSError as error:
        complain(flat(explain(error)))
        sys.exit(1 if is_machine_fault(error) else 2)
    except (ValueError, Damaged) as error:
        complain(flat(str(error)))
        sys.exit(2)
    except (FloatingPointError, Failure) as error:
        complain(flat(str(error)))
        sys.exit(1)
