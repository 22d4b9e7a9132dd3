"""Options of verbs under the names that other tools give them."""

import pytest

from genbench.cli.option_words import OPTION_WORDS
from tests.conftest import Command


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sample RUN --num-samples 8", "--num-samples is not an option of genbench sample"),
        ("sample RUN --num-samples 8", "Did you mean --n?"),
        ("sample RUN --num_inference_steps 8", "Did you mean --steps?"),
        ("sample RUN --output-dir x", "Did you mean --out?"),
        ("sampler-sweep RUN --sampler ddim", "Did you mean --samplers?"),
        ("sampler-sweep RUN --cfg-scale 2", "Did you mean --scales?"),
        ("sample RUN --stepz 8", "Did you mean --steps?"),  # by its letters
    ],
)
def test_an_option_of_another_tool_is_answered_with_its_name_here(
    words: str, says: str, verb: Command
) -> None:
    done = verb(*words.split())
    assert done.returncode == 2
    assert says in done.stderr


def test_names_from_elsewhere_are_no_options_here(verb: Command) -> None:
    pages = "".join(verb(name, "--help").stdout for name in ("sample", "sampler-sweep"))
    for word, meant in OPTION_WORDS.items():
        assert f" {word} " not in pages
        assert all(option.startswith("--") for option in meant)
