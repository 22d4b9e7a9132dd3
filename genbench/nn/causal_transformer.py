"""The causal transformers of autoregressive flows: tokens of real numbers in, parameters for each out."""

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.flows.network import CausalNet, CausalNets
from genbench.nn.image_gpt import INITIAL_STD, TransformerBlock, check_sizes, initialise
from genbench.probability.token_cache import Cache

__all__ = ["CausalTransformer", "CausalTransformers"]


class CausalTransformers(CausalNets):
    """Makes causal transformers of `blocks` blocks: (B, T, inputs) -> (B, T, outputs).

    num_classes: K; 0 is unconditional. width, heads: of the blocks; each head has width / heads channels.
    dropout: its rate inside the blocks. Raises ValueError on sizes that no network can have.
    """

    def __init__(
        self, num_classes: int = 0, *, width: int = 64, blocks: int = 2, heads: int = 4, dropout: float = 0.0
    ) -> None:
        check_sizes(width, blocks, heads)
        self.num_classes, self.width, self.blocks = num_classes, width, blocks
        self.heads, self.dropout = heads, dropout

    def build(self, tokens: int, inputs: int, outputs: int) -> CausalNet:
        blocks = [
            TransformerBlock(self.width, self.heads, self.dropout, causal=True) for _ in range(self.blocks)
        ]
        return CausalTransformer(tokens, inputs, outputs, self.num_classes, blocks=blocks)


class CausalTransformer(CausalNet):
    """leave(blocks(enter(the tokens, one place later) + positions + label)); the last layer is 0 at first.

    Nothing enters in the place of the first token, whose answer is a constant of its label. Positions are
    learned, and one embedding of the label is added to all tokens; the last of them, K, is for the null
    class. blocks: at least one, all of one width.
    Source: Zhai et al. 2024; blocks: see TransformerBlock.
    """

    def __init__(
        self,
        tokens: int,
        inputs: int,
        outputs: int,
        num_classes: int = 0,
        *,
        blocks: list[TransformerBlock],
    ) -> None:
        super().__init__()
        width = blocks[0].out.out_features
        self.enter, self.leave = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.label = nn.Embedding(num_classes + 1, width)
        self.position = nn.Parameter(INITIAL_STD * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(blocks)
        self.apply(initialise)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, y: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        if cache is not None:
            return self.step(x, y, cache)
        before = F.pad(self.enter(x[:, :-1]), (0, 0, 1, 0))  # (B, T, width), 0 before the first token
        h = self.position + self.condition(x, y) + before
        for block in self.blocks:
            h = block(h)
        return self.leave(h)

    def step(self, x: Tensor, y: Tensor | None, cache: Cache) -> Tensor:
        """The answer for token `cache.position`, (B, 1, outputs); each block's keys and values are cached."""
        i = cache.position
        h = self.position[i] + self.condition(x, y)  # (B, 1, width)
        if i:
            h = h + self.enter(x[:, i - 1 : i])
        blocks = cast("Iterable[TransformerBlock]", self.blocks)
        if i == 0:
            cache.layers = [block.empty_cache(h, len(self.position)) for block in blocks]
        for block, (keys, values) in zip(blocks, cache.layers, strict=True):
            h = block.step(h, keys, values, i)
        cache.position += 1
        return self.leave(h)

    def condition(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The embeddings of labels y (B,), or of the null class: (B, 1, width)."""
        null = self.label.num_embeddings - 1
        return self.label(torch.full((len(x),), null, device=x.device) if y is None else y)[:, None]
