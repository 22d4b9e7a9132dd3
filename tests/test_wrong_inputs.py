"""Wrong inputs end before any work: exit code 2, one message with the remedy, nothing left behind."""

import importlib
import pkgutil
import shlex
from pathlib import Path

import pytest

from tests import wrong_inputs
from tests.attack.verbs import not_waiting
from tests.conftest import Command
from tests.wrong_inputs import Wrong

MODULES = sorted(found.name for found in pkgutil.iter_modules(wrong_inputs.__path__))
QUICK = {"main": 9, "genbench": 3}
"""Every ninth command of main.py and every third of a verb is tried in the quick suite."""
TABLES = [
    (name, row) for name in MODULES for row in importlib.import_module(f"tests.wrong_inputs.{name}").ROWS
]
ROWS = [
    pytest.param(
        row,
        id=f"{name}-{row.command[:80]}",
        marks=pytest.mark.slow if number % QUICK[row.command.split()[0]] else (),
    )
    for number, (name, row) in enumerate(TABLES)
]
PATIENCE_SECONDS = 30
"""A refusal takes well under a second; a command that is accepted, or hangs, would train for minutes."""
LONGEST = 900
"""Characters of a message that a reader takes in: a message may list the classes that are legal."""


@pytest.mark.parametrize("row", ROWS)
def test_a_wrong_input_gets_one_message_and_leaves_nothing(
    row: Wrong,
    main: Command,
    verb: Command,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    row.given(tmp_path)
    before = contents(tmp_path)
    program, *words = shlex.split(row.command)
    with not_waiting(PATIENCE_SECONDS):
        done = (main if program == "main" else verb)(*words, env=environment | dict(row.env))
    assert done.returncode == row.code, done
    assert done.stderr.count("genbench: ") == 1, done.stderr
    for text in row.says:
        assert text in done.stderr, done.stderr
    assert len(done.stderr) <= LONGEST, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert contents(tmp_path) == before


def test_no_command_stands_in_the_tables_twice() -> None:
    commands = [(row.command, row.given, row.env) for _, row in TABLES]
    assert len(commands) == len(set(commands))


def contents(folder: Path) -> list[str]:
    """The paths of all that lies in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
