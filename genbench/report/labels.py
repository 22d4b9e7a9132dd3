"""Texts beside points: where each of them finds room."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["LETTER", "LINE", "Box", "Label", "labels", "meet"]

LETTER, LINE = 7.4, 13  # the room that a text takes, in the units of the figure
GAP = 9  # from a point to the text beside it
RINGS, TURNS = (24, 36, 50, 68, 90, 116, 146), 16  # how far off, and in how many directions, a text may stand
TRIES = 4
CLEAR, BEAD = 9, 4  # where a leader begins, and how closely it is looked at
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Label(NamedTuple):
    """A text beside a point."""

    x: float
    y: float
    anchor: str
    text: str
    leader: str = ""
    """The path from the point to a text that stands farther off."""


class Spot(NamedTuple):
    """A place where a text may stand."""

    box: Box
    anchor: str
    tip: tuple[float, float] | None
    """The end of the leader; None right beside the point."""


def labels(
    texts: Sequence[str],
    points: Sequence[tuple[float, float]],
    *,
    room: Box,
    taken: Sequence[Box],
    lines: Sequence[Box],
    every: bool = False,
) -> list[Label | None]:
    """A place for each point's text inside the room, away from lines, from what is taken and from each other.

    The first free one of some right beside the point, then on rings around it, with a leader, which may cross
    lines alone. Texts that find none have the first choice in the next try. What finds none in the last has
    None, or with `every` a place whose leader crosses what it must.
    """
    order, found, full = list(range(len(texts))), dict[int, Label | None](), list[Box]()
    for _ in range(TRIES):
        full = list(taken)
        found = {i: label(texts[i], *points[i], room=room, taken=full, lines=lines) for i in order}
        if all(found.values()):
            break
        order.sort(key=lambda i: found[i] is not None)
    for i in order if every else ():
        found[i] = found[i] or label(texts[i], *points[i], room=room, taken=full, lines=lines, crossing=True)
    return [found[i] for i in range(len(texts))]


def label(
    text: str,
    x: float,
    y: float,
    *,
    room: Box,
    taken: list[Box],
    lines: Sequence[Box],
    crossing: bool = False,
) -> Label | None:
    """One text, which takes its place and that of its leader."""
    for box, anchor, tip in spots(x, y, LETTER * len(text)):
        wanted = [box, *(beads(x, y, tip) if tip and not crossing else ())]
        if not is_inside(box, room) or any(meet(box, line) for line in lines):
            continue
        if not any(meet(part, other) for other in taken for part in wanted):
            taken += wanted
            leader = f"M{x},{y}L{tip[0]:.2f},{tip[1]:.2f}" if tip else ""
            left, top, right, bottom = box
            end = {"start": left, "end": right, "middle": (left + right) / 2}[anchor]
            return Label(round(end, 2), round((top + bottom) / 2 + 4, 2), anchor, text, leader)
    return None


def spots(x: float, y: float, long: float) -> Iterator[Spot]:
    """Where a text may stand, the nearest first."""
    for middle in (y, y - LINE, y + LINE):
        yield Spot(around(x + GAP, middle, long), "start", None)
        yield Spot(around(x - GAP - long, middle, long), "end", None)
        if middle != y:
            yield Spot(around(x - long / 2, middle, long), "middle", None)
    for radius in RINGS:
        for turn in range(TURNS):
            angle = 2 * math.pi * turn / TURNS
            yield led(x + radius * math.cos(angle), y + radius * math.sin(angle), angle, long)


def led(x: float, y: float, angle: float, long: float) -> Spot:
    """The place of a text at the end of a leader, which goes on away from the point."""
    side = math.cos(angle)
    if abs(side) < 0.3:
        return Spot(
            around(x - long / 2, y + math.copysign(LINE / 2 + 1, math.sin(angle)), long), "middle", (x, y)
        )
    left, anchor = (x + 2, "start") if side > 0 else (x - 2 - long, "end")
    return Spot(around(left, y, long), anchor, (x, y))


def around(left: float, middle: float, long: float) -> Box:
    """The box of a line of text."""
    return left, middle - LINE / 2, left + long, middle + LINE / 2


def beads(x: float, y: float, tip: tuple[float, float]) -> list[Box]:
    """What a leader passes over, in small boxes; not what lies on the point that it comes from."""
    length = math.hypot(tip[0] - x, tip[1] - y)
    shares = [step / length for step in range(CLEAR, int(length), BEAD)]
    places = [(x + share * (tip[0] - x), y + share * (tip[1] - y)) for share in shares]
    return [(a - 1, b - 1, a + 1, b + 1) for a, b in places]


def is_inside(box: Box, room: Box) -> bool:
    """Whether a box stays within another one."""
    return box[0] > room[0] and box[1] > room[1] and box[2] < room[2] and box[3] < room[3]


def meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
