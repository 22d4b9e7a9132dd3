"""Pages name files, extras and placeholders that exist, and keep to the convention for fences."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from tests.documents.pages import (
    LANGUAGES,
    PAGES,
    PLACEHOLDER,
    PLACEHOLDERS,
    ROOT,
    commands,
    fences,
    follows_convention,
    text_of,
)

PLACES = (
    "genbench",
    "conf",
    "tests",
    "benchmarks",
    "examples",
    "docs",
    "docs_tools",
    "runs",
    ".ci",
    ".github",
)
MADE = re.compile(r"NAME|RUN|PATH|FILE|DIR|my_|<|\*|\{")
"""Placeholders for a part of a path that a reader fills in."""
PROGRAMS = {
    *("genbench", "python", "python3", "torchrun", "pip", "uv", "uvx", "git", "ruff", "mypy", "mkdocs"),
    *("pre-commit", ".ci/run", "wandb", "mlflow", "tensorboard", "trackio", "ray", "docker", "nvidia-smi"),
    *("sbatch", "srun", "squeue", "scancel", "cd", "ls", "head", "cat", "tail", "less", "mkdir", "cp", "rm"),
    *("kill", "df", "du", "watch", "ssh", "rsync", "eval", "export", "unset", "source", "."),
}
"""Programs that pages call; a name that is not here is a slip, or new."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
LINK = re.compile(r"\]\(([^)#\s]+)[^)\s]*\)")


def named_paths(page: str) -> set[str]:
    """The paths below the top level that a page names, up to the first part that is a placeholder."""
    found = set[str]()
    for text in re.findall(r"`([^`\n]+)`", text_of(page)):
        path = text.split(":")[0].removeprefix("python ")
        if path.split("/")[0] in PLACES and "/" in path and " " not in path:
            found.add(MADE.split(path)[0].rpartition("/")[0] if MADE.search(path) else path)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_files_that_exist(page: str) -> None:
    assert [path for path in sorted(named_paths(page)) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_page_of_the_repository_links_to_files_that_exist(page: str) -> None:
    links = [
        link for link in LINK.findall(text_of(page)) if "://" not in link and not link.startswith("mailto")
    ]
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if follows_convention(page)])
def test_every_fence_says_its_language(page: str) -> None:
    assert [text for language, text in fences(page) if language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_of_programs_that_exist(page: str) -> None:
    for command in commands(page):
        program, *rest = command.words
        assert program in PROGRAMS, command
        if program.startswith("python") and rest[:1] == ["-m"]:
            assert importlib.util.find_spec(rest[1]), command
        elif program.startswith("python") and rest[0].endswith(".py"):
            assert (ROOT / rest[0]).is_file(), command
        for word in rest:
            if word.partition("/")[0] in PLACES and "/" in word and not MADE.search(word):
                assert (ROOT / word).exists() or Path(word).parts[0] == "runs", command


@pytest.mark.parametrize("page", PAGES)
def test_the_extras_that_a_page_installs_exist(page: str) -> None:
    asked = re.findall(r"(?:genbench|[\"'. ]\.)\[([\w,]+)\]", text_of(page))
    assert [name for names in asked for name in names.split(",") if name not in EXTRAS] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_a_reader_replaces_in_a_command_has_a_name_of_the_convention(page: str) -> None:
    words = [word for command in commands(page) for word in command.words[1:]]
    found = {name for word in words for name in PLACEHOLDER.findall(word) if len(name) > 2}
    assert found - {*PLACEHOLDERS, "CLASS", "NPZ", "NFE"} == set()


def test_the_version_is_that_at_the_head_of_the_changes() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    head = re.search(r"(?m)^## ([\d.]+)( \(not released yet\))?$", text_of("CHANGELOG.md"))
    assert head
    assert version == head[1] + (".dev0" if head[2] else "")


def test_the_hook_of_commits_has_the_ruff_of_the_constraints() -> None:
    (pinned,) = re.findall(r"(?m)^ruff==(.+)$", (ROOT / "constraints.txt").read_text())
    assert f"rev: v{pinned}\n" in text_of(".pre-commit-config.yaml")
