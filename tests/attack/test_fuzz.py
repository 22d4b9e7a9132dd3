"""Command lines that nobody wrote by hand end in a run or in one message; see `fuzzing` for the law."""

import pytest
from hypothesis import given

from tests.attack.fuzzing import obeys, tried, without_training
from tests.attack.words import command_lines
from tests.conftest import Command

SWEEPS = {"-m", "--multirun", "hydra.mode=MULTIRUN"}


def is_safe(words: list[str]) -> bool:
    """True where no word names a place of this machine, in which an accepted command would write."""
    return not any(part in word for word in words for part in ("=/", "'/", '"/', "..", "=~", "cluster"))


LINES = command_lines().filter(is_safe)


@pytest.mark.slow
@tried(500)
@given(words=LINES)
def test_any_command_line_is_accepted_or_refused_in_one_message(main: Command, words: list[str]) -> None:
    with without_training():
        obeys(main, words, is_sweep=bool(SWEEPS & {*words}))
