"""Captions and prompts: one line of text each, checked; and files of prompts."""

import unicodedata
from pathlib import Path

from genbench.records.untrusted_files import read_regular

__all__ = ["MOST_CHARACTERS", "cleaned", "cleaned_prompt", "read_prompts"]

MOST_CHARACTERS = 10_000
"""The longest caption that is read, a hundred times as long as usual ones: what is longer is no caption."""
PROMPT_BYTES = 2**20  # of a file of prompts


def cleaned(text: object) -> str:
    """Return a caption in one line, with one space for each stretch of white space. Raises ValueError, with
    the reason and the remedy, where it is no text, empty, too long, or holds what no text in UTF-8 holds:
    control characters, or half of a surrogate pair.
    """
    if not isinstance(text, str):
        raise ValueError(f"the caption is {shown(text)}, not a text: write it in quotes")
    line = " ".join(text.split())
    if not line:
        raise ValueError("the caption is empty: write what the image shows, or take the image out")
    if len(line) > MOST_CHARACTERS:
        raise ValueError(
            f"the caption has {len(line):,} characters, more than the {MOST_CHARACTERS:,} that are read: "
            "shorten it"
        )
    kinds = {"Cc": "a control character", "Cs": "half of a surrogate pair"}
    for letter in line:
        if kind := kinds.get(unicodedata.category(letter)):
            raise ValueError(f"the caption holds {kind}, {letter!r}: remove it")
    return line


def shown(value: object) -> str:
    """Return the start of any value, for a message."""
    found = repr(value)
    return found if len(found) <= 40 else f"{found[:40]}.."


def read_prompts(path: Path, *, inside: Path | None = None, key: str = "--prompts") -> list[str]:
    """Read the prompts of a text file in UTF-8, one a line; blank lines are passed over.
    inside: a folder that the file must lie in, also behind a link, such as the directory of a run. key: the
    option or setting that names the file, for messages.

    Raises ValueError, with the file and the line, on one that is no prompt, see `cleaned`, and on a file
    without any, or of more than a megabyte; FileNotFoundError where there is none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{key} is {path}, which does not exist: name a text file, one prompt a line")
    try:
        lines = read_regular(path, at_most=PROMPT_BYTES, inside=inside).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{key} {path} is not UTF-8 text: save it in that encoding") from error
    found = list[str]()
    for number, line in enumerate(lines, 1):
        if line.strip():
            found.append(cleaned_prompt(line, f"{key} {path}, line {number}"))
    if not found:
        raise ValueError(f"{key} {path} holds no prompt: write one a line")
    return found


def cleaned_prompt(text: str, where: str) -> str:
    """Return a prompt as `cleaned` does a caption; one of white space alone is the empty one, which asks for
    images without a text. Raises ValueError, which begins with `where`.
    """
    try:
        return cleaned(text) if text.strip() else ""
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).replace('the caption', 'the prompt', 1)}") from error
