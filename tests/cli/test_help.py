"""Help texts of all verbs: printed as they are written, narrow, with examples that the parser accepts."""

import re
import shlex
from typing import Any

import pytest
import typer
from rich.table import Table

from genbench.cli.main import app
from genbench.config.option_folders import PACKAGE
from genbench.runtime.progress import Progress, terminal

GROUP: Any = typer.main.get_command(app)
VERBS: dict[str, Any] = GROUP.commands
WIDE = 80


def page(command: Any) -> str:
    """The help of a verb as the terminal of 80 columns shows it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(WIDE))
        context = typer.Context(command, info_name=command.name, terminal_width=WIDE)
        return str(command.get_help(context))


def without_spaces(text: str) -> str:
    """A text without its line breaks, wherever they fell."""
    return "".join(text.replace("\b", "").split())


@pytest.mark.parametrize("verb", VERBS)
def test_all_that_is_written_in_a_help_is_printed_with_its_brackets(verb: str) -> None:
    command, printed = VERBS[verb], without_spaces(page(VERBS[verb]))
    written = [command.help, command.epilog or "", *(param.help or "" for param in command.params)]
    assert [text for text in written if without_spaces(text) not in printed] == []


def test_the_help_of_evaluate_shows_a_list_of_scores_as_it_is_typed() -> None:
    assert "'scores=[fid,kid]'" in page(VERBS["evaluate"])
    assert "\\" not in page(VERBS["evaluate"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_help_fits_eighty_columns_and_describes_each_option(verb: str) -> None:
    assert [line for line in page(VERBS[verb]).splitlines() if len(line) > WIDE] == []
    assert [param.name for param in VERBS[verb].params if not param.help] == []


def test_the_list_of_verbs_cuts_no_description() -> None:
    _, _, listed = page(GROUP).partition("Commands:")
    assert "..." not in listed
    assert all(f"\n  {verb} " in listed for verb in VERBS)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "train"])
def test_the_examples_of_a_verb_are_read_by_its_own_parser(verb: str) -> None:
    examples = re.findall(rf"^  genbench {verb}\b(.*)$", VERBS[verb].epilog or "", re.MULTILINE)
    assert examples
    for words in examples:
        VERBS[verb].make_context(verb, shlex.split(words))  # raises on what the verb does not take


def test_a_terminal_prints_brackets_of_messages_tables_and_bars(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("[head]", title="[title]", caption="[caption]")
    table.add_row("fid[fid,kid]")
    console = terminal()
    console.print("scores=[fid,kid] [/] [bold]", soft_wrap=True)
    console.print(table)
    Progress(console).say(["[fid,kid]"])
    shown = capsys.readouterr().out
    parts = ("scores=[fid,kid] [/] [bold]", "[head]", "[title]", "[caption]", "fid[fid,kid]", "\n[fid,kid]")
    assert [part for part in parts if part not in shown] == []


def test_no_other_console_and_no_markup_of_rich_is_used() -> None:
    """Consoles come from `terminal`, without markup; spinners and panels take a str for markup even there."""
    leaks = re.compile(
        r"from_markup|markup=True|from rich import print|rich\.print|\bConsole\(\)|\bConsole\([a-z_]+="
        r"|\bSpinner\([^)]*text=[f\"']|\.status\([f\"']|\bPanel\([^)]*title=[f\"']|\bPrompt\.ask|\bPrompt\(|typer\.secho"
    )
    found = {
        str(path.relative_to(PACKAGE)): leaks.findall(path.read_text())
        for path in PACKAGE.rglob("*.py")
        if leaks.search(path.read_text())
    }
    assert found == {}
