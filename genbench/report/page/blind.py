"""Pairs of grids of images without names, on which a person votes: pages of `genbench serve --votes`."""

import base64
import io
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from threading import Lock

import numpy as np

from genbench.report.page.write import environment, styles
from genbench.report.votes import Vote, VoteTable, append_vote, read_votes, vote_table

__all__ = ["Ballot", "Images"]

Images = Callable[[], np.ndarray]
"""Reads the images of an entrant: (N, H, W, 3) uint8, of one H and W for all entrants."""
SIDE = 4  # images in a row and in a column of a grid
GAP, GREY = 4, 128  # pixels between the images, and their level
OPEN = 64  # pairs that are shown and wait for their vote; older ones are forgotten


class Ballot:
    """Shows pairs of entrants blind, and appends each vote to a file.

    entrants: name -> its images, of which each pair shows as many, drawn at random. Pairs come in rounds, in
    each of which every two entrants meet once, in random order and on random sides. seed: of all this; with
    the number of votes in the file it sets what is shown, so that a later session goes on with other pairs.
    Safe for several threads. Raises ValueError on fewer than two entrants, on fewer than four images, and on
    a file with votes over another data set.
    """

    def __init__(self, entrants: Mapping[str, Images], path: Path, *, data: str, seed: int = 0) -> None:
        if len(entrants) < 2:
            raise ValueError(f"{len(entrants)} entrant can be shown; votes need two: add runs with samples")
        self.entrants, self.path, self.data = entrants, path, data
        self.side = min(SIDE, math.isqrt(min(len(images()) for images in entrants.values())))
        if self.side < 2:
            raise ValueError("a grid needs four images of each entrant: take runs with more samples")
        before = read_votes(path)[0] if path.exists() else []
        if any(vote.data != data for vote in before):
            raise ValueError(f"{path} has votes over another data set: name another file")
        self.rng = np.random.default_rng([seed, len(before)])
        self.pairs = self.rounds()
        self.open: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.lock = Lock()

    def rounds(self) -> Iterator[tuple[str, str]]:
        """Yield the names at the left and at the right, without end."""
        every = [*combinations(self.entrants, 2)]
        while True:
            for i in self.rng.permutation(len(every)).tolist():
                a, b = every[i]
                yield (a, b) if self.rng.random() < 0.5 else (b, a)

    def page(self) -> bytes:
        """Return the page of the next pair. Nothing in it tells which entrant is which: the key of the pair
        is random, and both pictures have the same size in pixels and in bytes.
        """
        with self.lock:
            pair = next(self.pairs)
            pictures = [self.picture(name) for name in pair]
            key = secrets.token_urlsafe(16)
            self.open[key] = pair
            if len(self.open) > OPEN:
                self.open.popitem(last=False)
        words = {"key": key, "pictures": pictures, "title": "Which looks more like real images?"}
        return self.rendered("vote.html", words)

    def picture(self, name: str) -> str:
        """Return a grid of an entrant's images, drawn at random, as the address of its data."""
        from PIL import Image

        images = self.entrants[name]()
        chosen = images[self.rng.choice(len(images), self.side**2, replace=False)]
        padded = np.pad(chosen, ((0, 0), (GAP, 0), (GAP, 0), (0, 0)), constant_values=GREY)
        h, w = padded.shape[1:3]
        rows = padded.reshape(self.side, self.side, h, w, 3).transpose(0, 2, 1, 3, 4)
        grid = np.pad(
            rows.reshape(self.side * h, self.side * w, 3), ((0, GAP), (0, GAP), (0, 0)), constant_values=GREY
        )
        file = io.BytesIO()
        # Uncompressed: the size of the file would tell smooth images from noisy ones.
        Image.fromarray(grid).save(file, format="PNG", compress_level=0)
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    def vote(self, key: str, side: str) -> bool:
        """Append the vote for the grid at a side of a pair; False where the pair is not open (any more).
        Raises OSError or ValueError where the file cannot be written; the pair then stays open.
        """
        with self.lock:
            if key not in self.open or side not in ("left", "right"):
                return False
            left, right = self.open[key]
            chosen, other = (left, right) if side == "left" else (right, left)
            append_vote(Vote(chosen, other, side, self.data), self.path)
            del self.open[key]
        return True

    def table(self) -> VoteTable:
        """Return the strengths by all votes that the file holds now. Raises as `vote_table` does."""
        votes, damaged = read_votes(self.path) if self.path.exists() else ([], [])
        return vote_table(votes, damaged, [*self.entrants])

    def results(self) -> bytes:
        """Return the page with the table of strengths."""
        return self.rendered("votes.html", {"table": self.table(), "title": "Votes"})

    def rendered(self, name: str, words: Mapping[str, object]) -> bytes:
        """Return a page of a template, with the style of the report, as bytes."""
        return environment().get_template(name).render(words, **styles("vote")).encode()
