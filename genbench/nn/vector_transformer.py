"""A transformer over vectors, such as embeddings of images, for diffusion: vectors and times in, vectors
out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.nn.blocks import Sinusoid
from genbench.probability.counts import MOST_CHANNELS, MOST_LAYERS, check_count
from genbench.text.condition import Conditioning, Encoded
from genbench.text.encoder import TextNetwork
from genbench.text.small import Block

__all__ = ["VectorTransformer"]


class VectorTransformer(TextNetwork):
    """zt as `tokens` tokens, one of the time with the label or the pooled text, those of the text; blocks of
    a transformer; the answer from the first `tokens`.

    shape: (F, 1, 1) of the vectors, as if they were images. num_classes: 0, or label `num_classes` is the
    null class. context: E, numbers of each vector of an encoded text; 0 is no text.
    width, layers, heads: of the transformer; tokens * width should be F at least, or the answer has a lower
    rank. The answer is 0 at first. Raises ValueError on sizes that cannot be.
    Source: Ramesh et al. 2022, Section 2.2, where attention is causal and zt is a single token.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        *,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        tokens: int = 4,
        context: int = 0,
    ) -> None:
        super().__init__()
        check_count("vector_network.width", width, MOST_CHANNELS, least=2, usual=128)
        check_count("vector_network.layers", layers, MOST_LAYERS, usual=3)
        check_count("vector_network.tokens", tokens, MOST_CHANNELS, usual=4)
        check_count("vector_network.context", context, MOST_CHANNELS, least=0, usual=64)
        if heads < 1 or width % heads or width % 2:
            raise ValueError(
                f"vector_network.heads is {heads}; it must divide vector_network.width={width}, which "
                "must be even"
            )
        features = shape[0]
        self.width, self.tokens, self.context, self.num_classes = width, tokens, context, num_classes
        self.time = nn.Sequential(
            Sinusoid(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.pooled, self.text = (nn.Linear(context, width) if context else None for _ in range(2))
        self.enter = nn.Linear(features, tokens * width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens + 1, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(tokens * width, features)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, y: Conditioning = None) -> Tensor:
        """x (B, F, 1, 1), t (B,) in [0, 1], y (B,) int64, B texts or None -> (B, F, 1, 1)."""
        vectors = self.enter(x.flatten(1)).reshape(len(x), self.tokens, self.width)
        h = torch.cat([vectors, self.embed(t, y)[:, None]], dim=1) + self.position  # (B, tokens + 1, width)
        mask = torch.ones(h.shape[:2], dtype=torch.bool, device=h.device)
        if isinstance(y, Encoded) and self.text is not None:
            h, mask = torch.cat([h, self.text(y.hidden)], dim=1), torch.cat([mask, y.mask], dim=1)
        for block in self.blocks:
            h = block(h, mask)
        return self.leave(self.norm(h[:, : self.tokens]).flatten(1)).reshape(x.shape)

    def embed(self, t: Tensor, y: Conditioning) -> Tensor:
        """Return the embedding of times (B,) plus that of labels or pooled texts: (B, width)."""
        embedding = self.time(t)
        if isinstance(y, Encoded):
            return embedding if self.pooled is None else embedding + self.pooled(y.pooled)
        if self.label is None:
            return embedding
        null = torch.full(t.shape, self.num_classes, device=t.device)
        return embedding + self.label(null if y is None else y)
