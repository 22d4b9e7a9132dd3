"""Texts as models take them, tokens with a mask, and the vectors of an encoder of texts."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Condition", "Conditioning", "Encoded", "Encoding", "padded"]


@dataclass(frozen=True, eq=False)
class Condition:
    """A batch of texts as tokens, which a model of text is given in the place of labels.

    tokens (B, L) int64, 0 where no token stands; mask (B, L) bool, True where one stands: first those, then
    padding. A text whose mask is False everywhere is the null condition, with which a model of text is
    unconditional. Raises ValueError on tensors of another shape or dtype.
    """

    tokens: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        shapes = f"tokens {tuple(self.tokens.shape)} {self.tokens.dtype}"
        shapes += f" and a mask {tuple(self.mask.shape)} {self.mask.dtype}"
        legal = "they must be (B, L) int64 and (B, L) bool: take those of model.condition(texts)"
        if self.tokens.dim() != 2 or self.tokens.shape != self.mask.shape:
            raise ValueError(f"a condition has {shapes}; {legal}")
        if self.tokens.dtype != torch.int64 or self.mask.dtype != torch.bool:
            raise ValueError(f"a condition has {shapes}; {legal}")

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, rows: slice | Tensor) -> "Condition":
        """Take some of the texts, by a slice or by their numbers (n,) int64 on the same device."""
        return Condition(self.tokens[rows], self.mask[rows])

    @property
    def device(self) -> torch.device:
        """The device of the tokens and the mask."""
        return self.tokens.device

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Condition":
        """Copy the texts to a device; non_blocking: without waiting, where they lie in pinned memory."""
        tokens = self.tokens.to(device, non_blocking=non_blocking)
        return Condition(tokens, self.mask.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Condition":
        """Copy the texts into pinned memory, from which a GPU fetches them without the host waiting."""
        return Condition(self.tokens.pin_memory(), self.mask.pin_memory())


def padded(rows: Iterable[Iterable[int]]) -> Condition:
    """Lay the tokens of n texts side by side, the shorter ones followed by padding: a Condition of n rows on
    the CPU, as long as the longest. The rows are read one at a time into arrays of 8 bytes a token, so that
    millions of captions need no Python numbers.
    """
    flat, ends = array("q"), array("q", [0])
    for row in rows:
        flat.extend(row)
        ends.append(len(flat))
    counts = torch.from_numpy(np.diff(np.array(ends, np.int64)))  # (n,)
    longest = int(counts.max()) if len(counts) else 0
    mask = torch.arange(longest) < counts[:, None]
    tokens = torch.zeros(mask.shape, dtype=torch.int64)
    tokens[mask] = torch.from_numpy(np.array(flat, np.int64))
    return Condition(tokens, mask)


class Encoding(NamedTuple):
    """The vectors of texts: hidden (B, L, E) float32, one a token; mask (B, L) bool, at least one True in
    each row; pooled (B, E) float32, one a text. Vectors where the mask is False are never read.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor


@dataclass(frozen=True, eq=False)
class Encoded:
    """A batch of encoded texts, which processes, guidance and networks are given in the place of labels.

    own: the vectors of the texts, of B rows; empty: those of the empty text, the null condition, of one row
    and the same length.
    """

    own: Encoding
    empty: Encoding

    @property
    def hidden(self) -> Tensor:
        """One vector for each token: (B, L, E) float32."""
        return self.own.hidden

    @property
    def mask(self) -> Tensor:
        """True where a token stands: (B, L) bool, at least one in each row."""
        return self.own.mask

    @property
    def pooled(self) -> Tensor:
        """One vector for each text: (B, E) float32."""
        return self.own.pooled

    @property
    def device(self) -> torch.device:
        """The device of the vectors."""
        return self.pooled.device

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: slice | Tensor) -> "Encoded":
        """Take some of the texts, by a slice or by their numbers (n,) int64 on the same device."""
        hidden, mask, pooled = (tensor[rows] for tensor in self.own)
        return Encoded(Encoding(hidden, mask, pooled), self.empty)

    def dropped(self, rows: Tensor) -> "Encoded":
        """Replace the texts where rows (B,) bool is True by the empty text, as classifier-free guidance does
        in training; gradient reaches the empty text through them.
        """
        hidden = torch.where(rows[:, None, None], self.empty.hidden, self.hidden)
        mask = torch.where(rows[:, None], self.empty.mask, self.mask)
        return Encoded(
            Encoding(hidden, mask, torch.where(rows[:, None], self.empty.pooled, self.pooled)), self.empty
        )

    def null(self) -> "Encoded":
        """Return as many empty texts, the null condition of each row: hidden (B, L, E), pooled (B, E)."""
        hidden, mask, pooled = (tensor.expand(len(self), *tensor.shape[1:]) for tensor in self.empty)
        return Encoded(Encoding(hidden, mask, pooled), self.empty)


Conditioning = Tensor | Encoded | None
"""The y of a process and its network: labels (B,) int64, encoded texts, or nothing."""
