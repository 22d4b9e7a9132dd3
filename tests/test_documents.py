"""The pages for readers name files and commands that exist."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Command

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/extending.md", "docs/evaluating.md")
PLACES = ("genbench", "conf", "tests", "benchmarks", "examples", "docs", "runs", ".ci")
PLACEHOLDER = re.compile(r"NAME|RUN|PATH|FILE|DIR|<|\*")


def named_paths(page: str) -> set[str]:
    """The paths below the top level that a page names, up to the first part that is a placeholder."""
    found = set[str]()
    for text in re.findall(r"`([^`\n]+)`", (ROOT / page).read_text()):
        path = text.split(":")[0].removeprefix("python ")
        if path.split("/")[0] in PLACES and "/" in path and " " not in path:
            found.add(PLACEHOLDER.split(path)[0].rpartition("/")[0] if PLACEHOLDER.search(path) else path)
    return found


def commands(page: str) -> list[list[str]]:
    """The commands in the blocks of a page, a list of words each, without what explains them."""
    blocks = re.findall(r"(?s)^```\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE)
    lines = [re.split(r"\s{2,}", line)[0] for block in blocks for line in block.splitlines()]
    parts = [part for line in lines for part in line.split(" && ")]
    return [shlex.split(part.rstrip("\\")) for part in parts if part.startswith(("python ", "genbench "))]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_that_exist(page: str) -> None:
    assert named_paths(page)
    assert [path for path in sorted(named_paths(page)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_name_scripts_modules_and_verbs_that_exist(page: str, verb: Command) -> None:
    help_text = verb("--help").stdout
    for program, first, *rest in commands(page):
        if program == "genbench":
            assert f" {first} " in help_text, first
        elif first == "-m":
            assert importlib.util.find_spec(rest[0]), rest
        else:
            assert (ROOT / first).is_file(), first
        for word in rest:
            if word.partition("/")[0] in PLACES and not PLACEHOLDER.search(word):
                assert (ROOT / word).exists(), word
