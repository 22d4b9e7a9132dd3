"""Text of other people on its way out: what a terminal or a page would obey is spelt out.

Names of runs, keys, notes and error messages may hold escape sequences, which move a terminal's cursor or
retitle its window, and bidirectional overrides, which show a text in another order than it has.
"""

import re
import sys
import warnings
from pathlib import Path

from genbench.runtime.passwords import without_passwords

__all__ = ["complain", "counted", "flat", "in_one_line", "printable", "spell_out_warnings"]

FORMAT = warnings.formatwarning
LONG = re.compile(r"\S{300,}")
"""A word that would fill a terminal, such as a path of thousands of characters."""
PACKAGE = Path(__file__).resolve().parents[1]


def printable(text: str) -> str:
    r"""Text in which each control character is spelt out as Python writes it: \x1b, \u202e; line breaks
    remain.

    So are lone surrogates, which no file can hold, and characters of format, such as the zero-width ones.
    """
    if text.isprintable():
        return text
    return "\n".join(line if line.isprintable() else spelt(line) for line in text.split("\n"))


def in_one_line(text: str) -> str:
    """Return text as `printable` does, with line breaks written as \\n too: for a cell of a table or a name,
    which must remain one line.
    """
    return text if text.isprintable() else spelt(text)


def flat(text: str) -> str:
    """Return text in one line, with one space for each stretch of white space; for messages of libraries that
    are wrapped or indented for a terminal of their own.
    """
    return " ".join(text.split())


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not 1: "1 image", "2,000 images"; for nouns
    whose plural ends in s.
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def spelt(text: str) -> str:
    """Each letter that cannot be printed as its escape sequence in Python."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def complain(message: str) -> None:
    """Print a message on stderr under the program's name, with control characters spelt out. Every refusal,
    failure and warning of a command comes this way. The middle of a word of 300
    characters or more is left out.
    """
    message = without_passwords(message)
    short = LONG.sub(
        lambda found: f"{found[0][:80]}..({len(found[0]):,} characters)..{found[0][-40:]}", message
    )
    print(f"genbench: {printable(short)}", file=sys.stderr)


def spell_out_warnings() -> None:
    """Let the warnings of this process pass `printable`, since those about a damaged file may quote what it
    holds; those of genbench itself are printed as `complain` does.
    """
    warnings.formatwarning = formatted


def formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of genbench as `complain` prints it, others as Python does; control characters spelt out."""
    if Path(filename).is_relative_to(PACKAGE):
        return f"genbench: {printable(str(message))}\n"
    return printable(FORMAT(message, category, filename, lineno, line))
