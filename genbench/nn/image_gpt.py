"""A transformer over the tokens of an image, each of which sees those before it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.autoregressive.network import Cache, CausalNetwork
from genbench.autoregressive.pixel_law import PixelLaw
from genbench.nn.attention import attention
from genbench.runtime import global_batch

__all__ = ["ImageGPT"]

INITIAL_STD = 0.02


class ImageGPT(CausalNetwork):
    """A decoder-only transformer over the grey levels of an image in raster order.

    law: how its answers are read; a token is a pixel or one of its channels, as the law decides.
    width, blocks, heads: of the transformer; each head has width / heads channels.
    The sequence begins with the label (or a learned start) in the place of the token before the first. Where
    a token stands is the sum of learned embeddings of its row, column and channel.
    Raises ValueError on sizes that no network can have.
    Source: Chen et al. 2020 (iGPT), Section 2.2; apart from it, rows and columns are embedded apart, and the
    law says whether there is a palette.
    """

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
        check_sizes(width, blocks, heads, dropout)
        _, height, side = self.shape
        self.start = nn.Embedding(max(num_classes, 1), width)
        self.symbols = self.channels if law.ordered else 1
        self.level = nn.Embedding(self.symbols * law.levels, width)
        self.row, self.column = nn.Embedding(height, width), nn.Embedding(side, width)
        self.channel = nn.Embedding(self.tokens_per_pixel, width)
        self.dropout = global_batch.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, law.outputs(self.channels))
        self.apply(initialised)

    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        if cache is not None:
            return self.step(x, y, cache)
        before = self.embed(self.to_tokens(x)[:, :-1])
        h = self.dropout(torch.cat([self.begin(x, y), before], dim=1) + self.places())  # (B, N, width)
        for block in self.blocks:
            h = block(h)
        return self.leave(self.norm(h))

    def step(self, x: Tensor, y: Tensor | None, cache: Cache) -> Tensor:
        """The answer for the token whose turn it is, (B, 1, P); each block keeps keys and values."""
        i = cache.position
        h = self.embed(self.to_tokens(x)[:, i - 1 : i]) if i else self.begin(x, y)
        h = h + self.places()[i : i + 1]
        if i == 0:
            cache.layers = [block.empty(h, self.length) for block in self.blocks]
        for block, (keys, values) in zip(self.blocks, cache.layers, strict=True):
            h = block.step(h, keys, values, i)
        cache.position += 1
        return self.leave(self.norm(h))

    def begin(self, x: Tensor, y: Tensor | None) -> Tensor:
        """What stands before the first token: (B, 1, width)."""
        label = torch.zeros(len(x), dtype=torch.int64, device=x.device) if y is None else y
        return self.start(label)[:, None]

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, c) -> (B, N, width), the sum over their channels."""
        offset = torch.arange(self.symbols, device=tokens.device) * self.law.levels
        return self.level(self.law.to_level(tokens) + offset).sum(2)

    def places(self) -> Tensor:
        """The embeddings of all places, (N, width)."""
        grid = self.row.weight[:, None, None] + self.column.weight[:, None] + self.channel.weight
        return grid.flatten(0, 2)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). Source: Chen et al. 2020, Section 2.2."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = global_batch.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.join(x, attention(q, k, v, causal=True))

    def step(self, x: Tensor, keys: Tensor, values: Tensor, position: int) -> Tensor:
        """x (B, 1, width) at one position, whose key and value are written into what is kept."""
        q, k, v = self.split(x)
        keys[:, :, position], values[:, :, position] = k[:, :, 0], v[:, :, 0]
        seen = slice(position + 1)
        return self.join(x, attention(q, keys[:, :, seen], values[:, :, seen]))

    def empty(self, x: Tensor, length: int) -> tuple[Tensor, ...]:
        """Room for the keys and values of so many tokens, (B, heads, N, width / heads) each."""
        size = (len(x), self.heads, length, x.shape[2] // self.heads)
        return x.new_empty(size), x.new_empty(size)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, heads, N, width / heads) each."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def join(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block, from x (B, N, width) and what its heads read."""
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.norm2(x)))


def initialised(module: nn.Module) -> None:
    """Draw the weights of a layer. Source: Radford et al. 2019, as Chen et al. 2020 take it over."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def check_sizes(width: int, blocks: int, heads: int, dropout: float) -> None:
    """Raise ValueError on sizes that no network can have."""
    if heads < 1 or width < 1 or width % heads:
        raise ValueError(
            f"network.heads is {heads}; it must be at least 1 and divide network.width={width}, e.g. 4 of 64"
        )
    if blocks < 1:
        raise ValueError(f"network.blocks is {blocks}; it must be at least 1")
    if not 0 <= dropout < 1:
        raise ValueError(f"network.dropout is {dropout}; it must be at least 0 and below 1")
