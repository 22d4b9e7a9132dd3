"""The rule of every input, however strange it is, as the fuzz checks it: `obeys` runs one command."""

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings

from genbench.session.session import Session
from tests.attack.verbs import not_waiting
from tests.conftest import Command, Done

CODES = {0, 1, 2, 3, 130}
SECONDS = 20
MEMORY = 3 * 2**30
"""Address space that one input may take beside what the process has: torch's threads reserve some of it."""
CANARY = "executed"
"""File that no input may make: pickles, tags of YAML and templates of the strategies would."""


def tried(examples: int) -> settings:
    """Return the settings of a fuzz of so many inputs: the same each time, of no stated duration."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase for phase in Phase if phase != Phase.explain],
    )


class Accepted(SystemExit):
    """The end of a command that would now begin to train."""


@contextmanager
def without_training() -> Iterator[None]:
    """End each run where all of its parts are built, and its directory is checked."""

    def end(self: Session) -> None:
        raise Accepted(0)

    with (
        patch.object(Session, "run", end),
        patch("genbench.app.job.launch", side_effect=Accepted(0)),
        patch("genbench.app.job.estimated", side_effect=Accepted(0)),
    ):
        yield


def obeys(
    command: Command,
    words: list[str],
    given: Callable[[Path], object] = lambda folder: None,
    *,
    is_sweep: bool = False,
) -> Done:
    """Run a command in a folder of its own and check the law; return how it ended.

    The law: it ends, in time and memory; by an exit code of `CODES`; where that is not 0 by one message;
    nothing is written beside the folder, nothing executed, and a refusal leaves the folder as it was.
    given: writes the files of the folder. is_sweep: of several jobs, which has a table of refusals and keeps
    its ledger. Raises AssertionError, TimeoutError, or what escapes the command.
    """
    with TemporaryDirectory() as name:
        outside = Path(name)
        folder = outside / "here"
        folder.mkdir()
        given(folder)
        before, here = states(outside), Path.cwd()
        os.chdir(folder)
        try:
            with not_waiting(SECONDS), in_memory():
                done = command(*words)
        finally:
            os.chdir(here)
        after = states(outside)
        beside = {path for path in after.keys() ^ before.keys() if not path.startswith("here/")}
        assert not beside, (beside, done)
        assert not any(path.endswith(CANARY) for path in after), done
        assert done.returncode in CODES, done
        assert "Traceback (most recent call last)" not in done.stdout + done.stderr, done
        if done.returncode in (1, 2) and not is_sweep:
            lines = [line for line in done.stderr.splitlines() if line.startswith("genbench: ")]
            # Of a key that is given twice a note says which counts, before anything else.
            assert len([line for line in lines if " has no effect, since " not in line]) == 1, done
        if done.returncode == 2 and not is_sweep:
            assert after == before, (after.items() ^ before.items(), done)
        return done


def states(folder: Path) -> dict[str, int]:
    """The paths below a folder, with the sizes of files; a link is not followed."""
    found = {}
    for base, folders, files in os.walk(folder):
        for file in (*folders, *files):
            path = os.path.join(base, file)
            is_file = os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, folder)] = os.path.getsize(path) if is_file else -1
    return found


@contextmanager
def in_memory(room: int = MEMORY) -> Iterator[None]:
    """Let the block have so many bytes of address space more than this process has now."""
    if not sys.platform.startswith("linux"):
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
