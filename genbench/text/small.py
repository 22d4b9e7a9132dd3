"""A small transformer that is trained with the images, over the words of their captions."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, MOST_TOKENS, check_count
from genbench.text.condition import Encoding
from genbench.text.encoder import TextEncoder
from genbench.text.words import FIRST, frequent_words, packed, tokens_of, unpacked, words_of

__all__ = ["SmallEncoder"]


class SmallEncoder(TextEncoder):
    """h_0 = embedding, h_(i+1) = block(h_i), hidden = norm(h_n), pooled = hidden of the start token.

    A learned start token stands before each text, so that the empty text has a vector too. Blocks are
    transformers with the norm before attention and MLP, over all positions where the mask is True; the order
    of the words is in a learned bias of attention for each distance of two tokens.
    width: E. layers, heads: of the transformer; heads divide the width. words: the most frequent words of the
    training captions that have a token each; others are spelled by bytes. length: most tokens of a text.
    Raises ValueError on sizes that cannot be.
    Source: Vaswani et al. 2017; norms before the blocks: Xiong et al. 2020; distances: Raffel et al. 2020,
    Section 2.1, which begin as in Press et al. 2022, Section 3: near words are seen first.
    """

    name = "text=small"
    length_key = "text.length"
    vocabulary: Tensor

    def __init__(
        self, *, width: int = 64, layers: int = 2, heads: int = 4, words: int = 512, length: int = 32
    ) -> None:
        super().__init__()
        check_count("text.width", width, MOST_CHANNELS, usual=64)
        check_count("text.layers", layers, MOST_LAYERS, usual=2)
        check_count("text.words", words, MOST_TOKENS, usual=512)
        check_count("text.length", length, MOST_CHANNELS, usual=32)
        if heads < 1 or width % heads:
            legal = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
            raise ValueError(f"text.heads is {heads}; it must divide text.width={width}: choose from {legal}")
        self.width, self.length, self.words = width, length, words
        self.embedding = nn.Embedding(FIRST + words, width)
        self.start = nn.Parameter(torch.randn(width))
        self.blocks = nn.ModuleList(Block(width, heads, length) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("vocabulary", packed([], words))

    def learn_words(self, captions: Iterable[str]) -> None:
        found = packed(frequent_words(captions, self.words), self.words)
        self.vocabulary.copy_(found)

    def unknown(self, text: str) -> list[str]:
        known = set(unpacked(self.vocabulary))
        return [word for word in dict.fromkeys(words_of(text)) if word not in known]

    def counted(self, text: str) -> str:
        if not (words := self.unknown(text)):
            return ""
        one = f"the word {words[0]}" if len(words) == 1 else f"{len(words)} words, such as {words[0]},"
        whose = "is" if len(words) == 1 else "are"
        return f" ({one} {whose} not in the vocabulary of the training captions, so each byte is a token)"

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        numbers = {word: number for number, word in enumerate(unpacked(self.vocabulary))}
        return [tokens_of(text, numbers) for text in texts]

    def encode(self, tokens: Tensor, mask: Tensor) -> Encoding:
        starts = self.start.expand(len(tokens), 1, self.width)
        h = torch.cat([starts, self.embedding(tokens)], dim=1)  # (B, 1 + L, E)
        mask = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)  # (B, 1 + L)
        for block in self.blocks:
            h = block(h, mask)
        h = self.norm(h)  # (B, 1 + L, E)
        return Encoding(h, mask, h[:, 0])


class Block(nn.Module):
    """h + attention(norm(h)), then h + MLP(norm(h)): (B, L, E) -> (B, L, E); padding is attended by none.

    Of tokens i and j, head k adds b[k, j - i] to the logit of attention, -|j - i| / 2^k at first.
    length: the largest distance; 0 where tokens have no order.
    """

    def __init__(self, width: int, heads: int, length: int = 0) -> None:
        super().__init__()
        self.heads, self.length = heads, length
        slopes, distances = 0.5 ** torch.arange(heads), torch.arange(-length, length + 1).abs()
        self.distance = nn.Parameter(-slopes[:, None] * distances) if length else None
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """h (B, L, E), mask (B, L) bool, True where a token stands -> (B, L, E)."""
        b, n, width = h.shape
        qkv = self.qkv(self.norm1(h)).reshape(b, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, L, E / heads)
        seen = mask[:, None, None]  # (B, 1, 1, L)
        if self.distance is not None:
            places = torch.arange(n, device=h.device)
            bias = self.distance[:, places - places[:, None] + self.length]  # (heads, L, L)
            seen = bias.masked_fill(~seen, float("-inf")).to(q.dtype)  # (B, heads, L, L)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        h = h + self.out(found.transpose(1, 2).reshape(b, n, width))
        return h + self.mlp(self.norm2(h))
