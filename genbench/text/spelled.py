"""Texts as their bytes: a condition that carries the texts themselves, for models with a tokenizer inside."""

from collections.abc import Sequence

from genbench.text.condition import Condition, padded

__all__ = ["read_spelled", "spelled_out"]


def spelled_out(texts: Sequence[str]) -> Condition:
    """Turn n texts into the bytes of their UTF-8, one a token: tokens (n, L), L bytes of the longest; half a
    surrogate, which has no UTF-8, is a question mark.
    """
    return padded(text.encode("utf-8", errors="replace") for text in texts)


def read_spelled(condition: Condition) -> list[str]:
    """Read the texts of a condition that `spelled_out` has made."""
    rows = zip(condition.tokens.tolist(), condition.mask.sum(dim=1).tolist(), strict=True)
    return [bytes(row[:count]).decode("utf-8", errors="replace") for row, count in rows]
