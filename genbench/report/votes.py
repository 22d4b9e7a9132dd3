"""Votes of people between grids of images: a file of JSON lines, and the table of strengths from it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genbench.records.json_lines import append_line, parse_lines
from genbench.records.untrusted_files import read_regular
from genbench.report.bradley_terry import Fit, Strength, bradley_terry
from genbench.runtime.printable import counted, in_one_line

__all__ = ["REAL", "Vote", "VoteTable", "append_vote", "read_votes", "vote_table"]

REAL = "(real images)"
"""The entrant that held-out images of the data set are."""
VOTE_BYTES = 64 * 2**20  # of a file; a vote has about 200 bytes
LONGEST = 1000  # characters of a name
MOST = 200  # entrants of a table, whose matrix of votes is solved
SHOWN = 10  # lines or names that a remark lists
HEADS = ("", "strength", "95 % interval", "chosen", "over real images")
UNBOUNDED = {
    "above": "unbounded: always chosen",
    "below": "unbounded: never chosen",
    "both": "unbounded both ways",
    "": "n/a",
}


class Vote(NamedTuple):
    """One vote: the entrant that was chosen, the other one, on which side the chosen one stood (left or
    right), and the key of the data set.
    """

    chosen: str
    other: str
    side: str
    data: str


class VoteTable(NamedTuple):
    """The strengths as text: a row for each entrant, the best first, and remarks below them."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def append_vote(vote: Vote, path: Path) -> None:
    """Append a vote to a file with the time (UTC) by one write, after whatever the file holds by then.
    Raises OSError or ValueError where it is no regular file or cannot be written.
    """
    append_line(vote._asdict() | {"time": datetime.now(UTC).isoformat(timespec="seconds")}, path)


def read_votes(path: Path) -> tuple[list[Vote], list[int]]:
    """Read a file of votes: its votes, and the numbers of the lines that hold none, which are left out.

    Raises OSError or ValueError where there is no such file, it is no regular one, or has over 64 MiB.
    """
    lines = parse_lines(read_regular(path, at_most=VOTE_BYTES))
    votes, damaged = list[Vote](), [*lines.damaged]
    for number, line in lines.objects.items():
        words = [line.get(name) for name in Vote._fields]
        texts = [word for word in words if isinstance(word, str) and len(word) <= LONGEST]
        is_vote = len(texts) == len(words) and texts[0] != texts[1] and all(texts[:2])
        if is_vote and texts[2] in ("left", "right"):
            votes.append(Vote(*texts))
        else:
            damaged.append(number)
    return votes, sorted(damaged)


def vote_table(votes: Sequence[Vote], damaged: Sequence[int] = (), others: Sequence[str] = ()) -> VoteTable:
    """Return the table of the strengths of all that votes name, and of others without a vote.

    damaged: numbers of lines that were left out, which a remark then names. Raises ValueError on votes over
    several data sets, and on more than 200 entrants.
    """
    if len({vote.data for vote in votes}) > 1:
        raise ValueError("these votes are over several data sets: keep a file of votes for each data set")
    names = sorted({*others, *(name for vote in votes for name in vote[:2])})
    if len(names) > MOST:
        raise ValueError(f"these votes name {len(names):,} entrants; a table holds at most {MOST}")
    wins = np.zeros((len(names), len(names)))
    place = {name: i for i, name in enumerate(names)}
    for vote in votes:
        wins[place[vote.chosen], place[vote.other]] += 1
    fit = bradley_terry(wins)
    order = sorted(range(len(names)), key=lambda i: sort_key(fit.strengths[i], names[i]))
    rows = [row(names, i, fit.strengths[i], wins) for i in order]
    return VoteTable(HEADS, rows, remarks(votes, damaged, names, fit))


def sort_key(strength: Strength, name: str) -> tuple[int, float, str]:
    """Return the key by which what always won comes first, then strengths from the largest down."""
    if strength.value is None:
        rank = {"above": 0, "both": 2, "below": 3, "": 4}[strength.unbounded]
        return rank, 0.0, name
    return 1, -strength.value, name


def row(names: Sequence[str], i: int, strength: Strength, wins: np.ndarray) -> list[str]:
    """Return the cells of one entrant."""
    value, interval = UNBOUNDED[strength.unbounded], ""
    if strength.value is not None:
        value, interval = f"{strength.value:+.2f}", f"{strength.low:+.2f} to {strength.high:+.2f}"
    chosen = share(wins[i].sum(), wins[:, i].sum())
    real = names.index(REAL) if REAL in names and names[i] != REAL else None
    against = "" if real is None else share(wins[i, real], wins[real, i])
    return [in_one_line(names[i]), value, interval, chosen, against]


def share(won: float, lost: float) -> str:
    """Return how many of some votes were won; n/a where there is none."""
    return f"{int(won)} of {int(won + lost)}" if won + lost else "n/a"


def remarks(votes: Sequence[Vote], damaged: Sequence[int], names: Sequence[str], fit: Fit) -> list[str]:
    """Return the remarks below a table: the model, what does not compare, the sides, and lines left out."""
    left = sum(vote.side == "left" for vote in votes)
    found = [
        f"{counted(len(votes), 'vote')}, {left} for the grid at the left. Strength: log odds of being chosen "
        "over an average one of the table (Bradley-Terry, maximum likelihood); interval by Fisher "
        "information. Votes of one person are not independent: the interval holds for these voters alone."
    ]
    groups = [some(names, group) for group in bounded_groups(fit)]
    if len(groups) > 1:
        found.append(f"Strengths compare only within a group, and add up to 0 there: {'; '.join(groups)}.")
    voted = [part for part in fit.parts if len(part) > 1]
    if len(voted) > 1:
        parts = "; ".join(some(names, part) for part in voted)
        found.append(f"No vote connects these groups, which do not compare: {parts}.")
    if any(strength.unbounded for strength in fit.strengths):
        found.append("Unbounded: all votes between it and the others went one way; more votes may bound it.")
    if damaged:
        lines = ", ".join(map(str, damaged[:SHOWN])) + (", .." if len(damaged) > SHOWN else "")
        found.append(f"{counted(len(damaged), 'line')} of the file left out as no vote: {lines}.")
    return found


def bounded_groups(fit: Fit) -> list[list[int]]:
    """Return the groups of entrants that have strengths."""
    groups: dict[int, list[int]] = {}
    for i, strength in enumerate(fit.strengths):
        if strength.value is not None:
            groups.setdefault(strength.group, []).append(i)
    return [*groups.values()]


def some(names: Sequence[str], places: Sequence[int]) -> str:
    """Return some names in one line, the first ten of them."""
    listed = ", ".join(in_one_line(names[i]) for i in places[:SHOWN])
    return listed + (", .." if len(places) > SHOWN else "")
