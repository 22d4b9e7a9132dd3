r"""The pages for readers, and the commands, Python blocks and names of files in them.

Commands stand in fences of ```sh as they are typed, one a line; `\` at the end continues a line, and two
spaces and # begin what explains it. A page of fences without a language is of before this convention.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *("README.md", "CONTRIBUTING.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
LANGUAGES = ("sh", "text", "python", "yaml", "toml", "html", "json", "bibtex")
PLACEHOLDERS = (
    *("RUN", "RUNS", "RUNS_A", "RUNS_B", "DIR", "FOLDER", "FILE.npz", "STATS.npz", "PATH", "IMAGE", "MASK"),
    *("NAME", "USER/NAME", "HOST:PORT"),
)
"""Placeholders that a reader replaces: a run, several ones, a folder to write or read, arrays, statistics."""
PLACEHOLDER = re.compile(r"(?<![\w$])(USER/NAME|HOST:PORT|[A-Z]+(?:_[A-Z]+)*(?:\.npz)?)(?![\w=])")
"""A word in capitals; also what is none, such as CPU, where it is no part of a longer name."""
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL
)


class Command(NamedTuple):
    """A command of a page: its words, without what explains it and without the variables set before it."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"

    @property
    def training(self) -> tuple[str, ...] | None:
        """The overrides and options of a command that trains; None of any other command."""
        for beginning in (("python", "main.py"), ("genbench", "train")):
            if self.words[:2] == beginning:
                return self.words[2:]
        if self.words[0] in ("torchrun", "uvx"):
            script = next(i for i, word in enumerate(self.words) if word in ("main.py", "train"))
            return self.words[script + 1 :]
        return None

    @property
    def verb(self) -> tuple[str, ...] | None:
        """The words of a verb of `genbench` from its name on; None of any other command."""
        return self.words[1:] if self.words[0] == "genbench" and self.training is None else None


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def fences(page: str) -> list[tuple[str, str]]:
    """The fences of a page, as their language and their text without a common indentation."""
    return [
        (found["language"], re.sub(rf"(?m)^{found['indent']}", "", found["text"]))
        for found in FENCE.finditer(text_of(page))
    ]


def follows_convention(page: str) -> bool:
    languages = {language for language, _ in fences(page)}
    return "sh" in languages or "" not in languages


def commands(page: str) -> list[Command]:
    """The commands in the fences of ```sh, each part of a line of several by itself."""
    text = "\n".join(text for language, text in fences(page) if language == "sh")
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [Command(page, words) for line in lines for words in parts(re.sub(r"(^|\s{2,})#.*", "", line))]


def parts(line: str) -> list[tuple[str, ...]]:
    """The commands of a line, which &&, |, ; or & separate, without variables and without redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for each in found if (words := tuple(without_redirection(each)))]


def without_redirection(words: list[str]) -> list[str]:
    ends = next((i for i, word in enumerate(words) if set(word) <= set("<>")), len(words))
    begins = next((i for i, word in enumerate(words) if not re.match(r"[A-Z_]+=|nohup$|time$", word)), 0)
    return words[begins:ends]


def python_blocks(page: str) -> list[str]:
    """The Python of a page, in its order; of one of before the convention the first block alone."""
    found = [text for language, text in fences(page) if language == "python"]
    return found if follows_convention(page) else found[:1] if page == "README.md" else []


def filled(text: str, values: dict[str, str]) -> str:
    """Text with the values of placeholders in their places."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[1]), text)
