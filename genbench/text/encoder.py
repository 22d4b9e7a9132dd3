"""The contract of text encoders: texts to tokens, tokens to vectors."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from genbench.text.condition import Condition, Encoded, Encoding, padded

__all__ = ["TextEncoder", "TextNetwork", "no_text"]

CHUNK = 4096  # texts whose tokens are Python numbers at the same time


class TextEncoder(nn.Module, ABC):
    """A map from texts to vectors that networks attend to; abstract. A subclass implements `tokens` and
    `encode`.

    width: E, numbers of each vector. length: the most tokens of a text. Whatever it learns beside its weights
    is a buffer, so that the checkpoint of a model alone can read prompts.
    """

    width: int
    length: int
    name: str = "this encoder"
    """The encoder as commands choose it, text=small, for messages."""
    length_key: str = ""
    """The setting that a training can raise `length` by, text.length; "" where it is fixed."""

    def learn_words(self, captions: Iterable[str]) -> None:
        """Learn the vocabulary of the training captions, before a training; by default nothing is learned."""

    def learned(self) -> list[nn.Parameter]:
        """Return the parameters that are trained with the network; by default all, of an encoder whose
        weights come from elsewhere only those that it adds.
        """
        return list(self.parameters())

    def unknown(self, text: str) -> list[str]:
        """Return the words of a text that the encoder does not know, each once, in their order; such words
        are not refused. By default it knows all.
        """
        return []

    def counted(self, text: str) -> str:
        """Say in brackets why a text has more tokens than words, for the message that it is too long; by
        default nothing.
        """
        return ""

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text as whole numbers from 0 on; none of an empty text."""

    @abstractmethod
    def encode(self, tokens: Tensor, mask: Tensor) -> Encoding:
        """Compute the vectors of texts given as tokens (B, L) int64 with their mask (B, L) bool.

        The mask of the answer has a True in each row, also of the empty text, and padding changes nothing:
        neither vectors of tokens that stand, nor pooled ones.
        """

    def condition(self, texts: Sequence[str]) -> Condition:
        """Turn n texts into tokens: a Condition of n rows on the CPU, as long as the longest text.

        Raises ValueError on a text of more than `length` tokens, with the text and both numbers.
        """
        starts = range(0, len(texts), CHUNK)
        found = padded(row for start in starts for row in self.tokens(texts[start : start + CHUNK]))
        longest = found.tokens.shape[1]
        if longest > self.length:
            text = texts[int(found.mask.sum(dim=1).argmax())]
            shown = text if len(text) <= 80 else f"{text[:77]}..."
            longer = f", or train with {self.length_key}={longest}" if self.length_key else ""
            raise ValueError(
                f'the text "{shown}" has {longest} tokens{self.counted(text)}, and {self.name} takes at most '
                f"{self.length}: shorten it{longer}"
            )
        return found

    def forward(self, condition: Condition) -> Encoded:
        """Encode B texts, and the empty text beside them in the same pass: hidden (B, L, E), pooled (B, E).

        Padding beyond `length` is cut off. Raises ValueError on longer texts, where they are on the CPU.
        """
        tokens, mask = condition.tokens, condition.mask
        if mask.device.type == "cpu" and bool(mask[:, self.length :].any()):
            most = int(mask.sum(1).max())
            raise ValueError(f"a text has {most} tokens, and {self.name} takes at most {self.length}")
        tokens, mask = (
            torch.cat([each[:, : self.length], torch.zeros_like(each[:1, : self.length])])
            for each in (tokens, mask)
        )
        hidden, mask, pooled = self.encode(tokens, mask)
        hidden, pooled = hidden.float(), pooled.float()  # whatever the precision of networks
        return Encoded(
            Encoding(hidden[:-1], mask[:-1], pooled[:-1]), Encoding(hidden[-1:], mask[-1:], pooled[-1:])
        )


class TextNetwork(nn.Module):
    """A network of diffusion that can attend to texts: `network(x, t, y)` with y an Encoded.

    A model of text takes no other network, since one that ignores y would train as if there were no text.
    """

    context: int = 0
    """E, numbers of each vector of a token that it attends to; 0 where it takes no text."""


def no_text() -> None:
    """Return no text encoder, for text=none: the model is unconditional, or takes labels."""
