"""Runs of the benchmark that are executed in the process of a test."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.publish import execute, measure
from benchmarks.publish.processes import Ended
from tests.conftest import Command


@pytest.fixture
def here(main: Command, verb: Command, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Let runs be executed in this process, which has loaded torch; the commands in their order."""
    called: list[Sequence[str]] = []

    def process(words: Sequence[str], core: int, log: Path) -> Ended:
        called.append(words)
        if words[0] == "main.py":
            return Ended(main(*words[1:]).returncode, 0.9)
        _, module, *rest = words
        if module == "genbench":
            return Ended(verb(*rest).returncode, 1.0)
        measure.main(rest[0], Path(rest[1]), Path(rest[2]))
        return Ended(0, 1.0)

    monkeypatch.setattr(execute, "process", process)
    return called
