"""Command lines of verbs that nobody wrote by hand end in output or in one message; see `fuzzing`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest
from hypothesis import given

from tests.attack.fuzzing import Accepted, obeys, tried
from tests.attack.verb_words import some_files, verb_lines
from tests.conftest import Command

WORK = (
    *("evaluation.reevaluate.prepare", "evaluation.bound_terms.prepare", "evaluation.sampler_sweep.prepare"),
    *("evaluation.draw.write", "metrics.selfcheck.check_all", "report.page.serve.server"),
)
"""Functions with which the work of a verb begins that would take seconds, or wait for a browser."""


@contextmanager
def without_work() -> Iterator[None]:
    """End a verb where its long work would begin."""
    with ExitStack() as stack:
        for name in WORK:
            stack.enter_context(patch(f"genbench.{name}", side_effect=Accepted(0)))
        yield


def is_local(words: list[str]) -> bool:
    """True where no word names a place outside of the folder, and nothing is asked of wandb."""
    leads_out = any(word.startswith(("/", "~")) or "=/" in word or ".." in word for word in words)
    return not leads_out and not ("dashboard" in words and "--dry-run" not in words)


LINES = verb_lines().filter(is_local)


def check(verb: Command, words: list[str]) -> None:
    """Run a verb up to its long work, in a folder of runs, images and arrays."""
    with without_work():
        obeys(verb, words, some_files)


@pytest.mark.slow
@tried(1500)
@given(words=LINES)
def test_any_words_of_a_verb_are_accepted_or_refused_in_one_message(verb: Command, words: list[str]) -> None:
    check(verb, words)


@tried(20)
@given(words=LINES)
def test_some_words_of_verbs_are_accepted_or_refused_in_one_message(verb: Command, words: list[str]) -> None:
    check(verb, words)
