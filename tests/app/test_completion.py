"""Words that the shell offers as completions of `genbench train`."""

import pytest

from genbench.app.completion import suggestions
from tests.conftest import Command


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        ([], "schedul", ["schedule.", "schedule="]),
        ([], "schedule=co", ["schedule=cosine"]),
        (["seed", "=", "1", "schedule", "="], "co", ["cosine"]),  # as bash hands them over
        (["model=gan"], "penalty.r", ["penalty.r1=", "penalty.r2="]),
    ],
)
def test_groups_options_and_keys_are_offered(words: list[str], incomplete: str, offered: list[str]) -> None:
    assert suggestions(words, incomplete) == offered


def test_options_follow_the_sign_where_bash_splits_at_it() -> None:
    assert {"cosine", "linear"} <= set(suggestions(["schedule"], ""))


def test_words_that_cannot_be_read_get_no_offer() -> None:
    assert suggestions(["=", "x"], "loss=") == []


def test_the_console_script_answers_the_shell(verb: Command, environment: dict[str, str]) -> None:
    asked = {"_GENBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "genbench train loss=hu", "COMP_CWORD": "2"}
    assert verb(env=environment | asked).stdout.split() == ["loss=huber"]
