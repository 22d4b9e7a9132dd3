"""Positions of the labels beside the points of a figure: greedy, deterministic, without overlaps."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

__all__ = ["LETTER", "LINE", "SYMBOL", "Label", "overlaps", "place_labels"]

LETTER, LINE = 7.4, 13.0
"""Upper bounds on the width of a letter and the height of a line at 12 px, in whatever font the page has."""
SYMBOL = 6.5  # half the side of the square that a point's symbol needs
NEAR = 9.5  # distance of a label that stands right beside its point; others get a leader line
SPACING = 4.0  # between the places along a leader that are tested for overlaps
RADII = np.array([NEAR, 24, 36, 50, 68, 90, 116, 146])[:, None]
ANGLES = np.array([0, 8, 1, 7, 9, 15, 2, 6, 10, 14, 3, 5, 11, 13, 4, 12]) * np.pi / 8  # beside before above
OFFSETS = np.stack([RADII * np.cos(ANGLES), (RADII + LINE / 2) * np.sin(ANGLES)], axis=-1).reshape(-1, 2)
"""(n, 2) places of a label relative to its point, the best first."""
SIDES = np.tile(np.sign(np.cos(ANGLES)) * (abs(np.cos(ANGLES)) > 0.3), len(RADII))
"""(n,) 1 where the text begins there, -1 where it ends there, 0 where its middle is there."""


class Label(NamedTuple):
    """Place of a text relative to its point, in pixels, y upwards and at the middle of the text's height."""

    x: float
    y: float
    side: int
    has_leader: bool


def place_labels(
    texts: Sequence[str],
    points: np.ndarray,
    *,
    symbols: np.ndarray,
    lines: np.ndarray,
    room: np.ndarray,
    every: bool = False,
) -> list[Label | None]:
    """Return for each text the first of OFFSETS from its point, (n, 2), where it is free, None where none is.

    A label stays inside the box `room`, (4,), and off the boxes `symbols`, (m, 4), and `lines`, (k, 4), other
    labels and their leaders; its leader crosses nothing but `lines`, or with `every` what it must.
    A box is left, bottom, right, top.
    """
    taken, found = symbols, list[Label | None]()
    for text, point in zip(texts, points, strict=True):
        width = LETTER * len(text)
        left = OFFSETS - np.column_stack([width * (1 - SIDES) / 2, np.full(len(SIDES), LINE / 2)]) + point
        boxes = np.hstack([left, left + np.array([width, LINE])])
        is_free = (left > room[:2]).all(1) & (boxes[:, 2:] < room[2:]).all(1)
        is_free &= ~overlaps(boxes, np.vstack([taken, lines])).any(1)
        free = np.flatnonzero(is_free)
        areas = [np.vstack([boxes[i], leader(point, OFFSETS[i])]) for i in free]
        clear = (k for k, area in enumerate(areas) if not overlaps(area, taken).any())
        best = next(clear, 0 if every and areas else None)
        if best is None:
            found.append(None)
        else:
            (x, y), side = OFFSETS[free[best]], SIDES[free[best]]
            found.append(Label(x, y, side, free[best] >= len(ANGLES)))
            taken = np.vstack([taken, areas[best]])
    return found


def leader(point: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Small boxes (n, 4) along the line from a symbol's edge to its label, none where that is near."""
    length = float(np.hypot(*offset))
    places = point + np.outer(np.arange(2 * NEAR, length, SPACING) / length, offset)
    return np.hstack([places - 1, places + 1])


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) and (m, 4) -> (n, m) bool: the pairs that share an area."""
    both = (a[:, None, :2] < b[None, :, 2:]) & (b[None, :, :2] < a[:, None, 2:])
    return cast("np.ndarray", both.all(-1))
