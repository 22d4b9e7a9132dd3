"""Transformers over the tokens of an image, each of which sees those before it, or all."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from genbench.autoregressive.network import Cache, CausalNetwork, MaskedNetwork, TokenNetwork
from genbench.autoregressive.pixel_law import PixelLaw
from genbench.nn.fast import attention
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["ImageGPT", "MaskedTransformer"]

INITIAL_STD = 0.02


class TokenTransformer(TokenNetwork):
    """The parts that transformers over tokens share: embeddings, blocks, and the layer of the answers.

    law: the distribution of a token that an answer describes; it decides whether a token is a whole pixel or
    one of its channels.
    width, blocks, heads: of the transformer; each head has width / heads channels.
    The position of a token is the sum of learned embeddings of its row, column and channel.
    Raises ValueError on sizes that no network can have.
    """

    causal: bool
    """True where a token sees those before it alone."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        law: PixelLaw,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(shape, num_classes, law)
        check_sizes(width, blocks, heads)
        _, height, side = self.shape
        # A masked model has a null class too, the number K.
        self.start = nn.Embedding(max(num_classes, 1) if self.causal else num_classes + 1, width)
        self.level = nn.Embedding(self.symbols, width)
        self.row, self.column = nn.Embedding(height, width), nn.Embedding(side, width)
        self.channel = nn.Embedding(self.tokens_per_pixel, width)
        self.dropout = global_batch.Dropout(dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, heads, dropout, causal=self.causal) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, law.outputs(self.channels))
        self.apply(initialise)

    def answer(self, h: Tensor) -> Tensor:
        """The answers of the blocks and the last layer to embedded tokens: (B, N, width) -> (B, N, P)."""
        h = self.dropout(h + self.positions())
        for block in self.blocks:
            h = block(h)
        return self.leave(self.norm(h))

    def embed(self, tokens: Tensor) -> Tensor:
        """Embeddings of tokens, summed over their channels: (B, N, c) -> (B, N, width)."""
        return self.level(self.numbers(tokens)).sum(2)

    def positions(self) -> Tensor:
        """The embeddings of all positions, row + column + channel: (N, width)."""
        grid = self.row.weight[:, None, None] + self.column.weight[:, None] + self.channel.weight
        return grid.flatten(0, 2)

    def begin(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The embedding of the label, or that of its absence: (B, 1, width)."""
        none = self.start.num_embeddings - 1
        label = torch.full((len(x),), none, device=x.device) if y is None else y
        return self.start(label)[:, None]


class ImageGPT(TokenTransformer, CausalNetwork):
    """A decoder-only transformer over the grey levels of an image in raster order.

    The sequence begins with the label (or a learned start) in the place of the token before the first.
    Source: Chen et al. 2020 (iGPT), Section 2.2; apart from it, rows and columns are embedded separately, and
    a palette is one choice of the distribution.
    """

    causal = True

    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        if cache is not None:
            return self.step(x, y, cache)
        before = self.embed(self.to_tokens(x)[:, :-1])  # (B, N - 1, width)
        return self.answer(torch.cat([self.begin(x, y), before], dim=1))

    def step(self, x: Tensor, y: Tensor | None, cache: Cache) -> Tensor:
        """The answer for token `cache.position`, (B, 1, P); each block's keys and values are cached."""
        i = cache.position
        h = self.embed(self.to_tokens(x)[:, i - 1 : i]) if i else self.begin(x, y)  # (B, 1, width)
        h = h + self.positions()[i : i + 1]
        blocks = cast("Iterable[TransformerBlock]", self.blocks)
        if i == 0:
            cache.layers = [block.empty_cache(h, self.length) for block in blocks]
        for block, (keys, values) in zip(blocks, cache.layers, strict=True):
            h = block.step(h, keys, values, i)
        cache.position += 1
        return self.leave(self.norm(h))


class MaskedTransformer(TokenTransformer, MaskedNetwork):
    """A bidirectional transformer over the tokens of an image, of which some are masked.

    A masked token enters as one learned vector; the embedding of the label is added to every token. There are
    num_classes + 1 of these, the last one for the null class.
    Source: Chang et al. 2022 (MaskGIT), Section 3.2, which follows Devlin et al. 2019 (BERT).
    """

    causal = False

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        law: PixelLaw,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            shape, num_classes, law=law, width=width, blocks=blocks, heads=heads, dropout=dropout
        )
        self.mask = nn.Parameter(INITIAL_STD * torch.randn(width))

    def forward(self, x: Tensor, masked: Tensor, y: Tensor | None = None) -> Tensor:
        seen = self.embed(self.to_tokens(x))  # (B, N, width)
        return self.answer(torch.where(masked[..., None], self.mask, seen) + self.begin(x, y))


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): (B, N, width) -> (B, N, width).

    causal: a position sees itself and those before it, not all.
    Source: Chen et al. 2020, Section 2.2.
    """

    def __init__(self, width: int, heads: int, dropout: float, *, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = global_batch.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.join(x, attention(q, k, v, causal=self.causal))

    def step(self, x: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        """x (B, 1, width) at one position, its key and value written into the cache -> (B, 1, width)."""
        q, k, v = self.split(x)
        keys[:, :, position], values[:, :, position] = k[:, :, 0], v[:, :, 0]
        seen = slice(position + 1)  # no mask: later positions are not in the cache yet
        return self.join(x, attention(q, keys[:, :, seen], values[:, :, seen]))

    def empty_cache(self, x: Tensor, length: int) -> tuple[Tensor, ...]:
        """Memory for the keys and values of `length` tokens, (B, heads, length, width / heads) each."""
        size = (len(x), self.heads, length, x.shape[2] // self.heads)
        return x.new_empty(size), x.new_empty(size)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, heads, N, width / heads) each."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, width / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def join(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block, from x (B, N, width) and the heads' values (B, heads, N, width / heads)."""
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))  # (B, N, width)
        return x + self.dropout(self.mlp(self.norm2(x)))


def initialise(module: nn.Module) -> None:
    """Draw a layer's weights from N(0, 0.02^2), biases 0.

    Source: Radford et al. 2019, which Chen et al. 2020 follow.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def check_sizes(width: int, blocks: int, heads: int) -> None:
    """Raise ValueError on sizes that no network can have."""
    check_count("network.width", width, MOST_CHANNELS, usual=64)
    check_count("network.blocks", blocks, MOST_LAYERS, usual=2)
    if heads < 1 or width % heads:
        raise ValueError(
            f"network.heads is {heads}; it must be at least 1 and divide network.width={width}, e.g. 4 of 64"
        )
