"""Flows whose layers move each token of an image by the tokens before it."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from genbench.flows.coupling import CouplingFunction
from genbench.flows.network import CausalNets
from genbench.flows.squeeze import Squeeze
from genbench.flows.transform import Away, Composed, Flatten, Guidable, Shape, Transform
from genbench.probability.counts import MOST_LAYERS, check_count
from genbench.probability.token_cache import Cache

__all__ = ["CausalLayer", "TarFlow"]


class CausalLayer(Guidable):
    """z_i = function(x_i; network(x_1 .. x_(i-1), y)) for each token i, a place of the map with its channels.

    The Jacobian is block-triangular, one diagonal block a token, so log_det is the sum of the function's.
    Training takes one pass of the network; the inverse draws one token after another, a pass of one token
    each, with the keys and values of those before in a cache.
    shape: (C, H, W) of the maps. backwards: tokens go from the last place to the first, not in raster order.
    function: of the numbers of a token, such as Affine, z = (x + t) e^s: in the source mu = -t, alpha = -s.
    Apart from the source: s is bounded, see Affine, and the first token, which nothing comes before, gets
    learned constants by the label in the place of mu = alpha = 0.
    Source: Zhai et al. 2024 (TarFlow).
    """

    def __init__(
        self, shape: Shape, function: CouplingFunction, networks: CausalNets, *, backwards: bool
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.shape, self.function, self.backwards = shape, function, backwards
        self.network = networks.build(height * width, channels, function.parameters * channels)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raw = self.in_order(self.network(self.in_order(x.flatten(2).mT), y))  # (B, T, parameters C)
        return self.function.forward(x, raw.mT.unflatten(2, self.shape[1:]))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.one_by_one(z, y, None)

    def guided(self, z: Tensor, y: Tensor | None, away: Away) -> Tensor:
        return self.one_by_one(z, y, away)

    def one_by_one(self, z: Tensor, y: Tensor | None, away: Away | None) -> Tensor:
        """The tokens of z (B, C, H, W) back in their order, each by those before it: (B, C, H, W)."""
        left = self.in_order(z.flatten(2).mT)  # (B, T, C)
        x, cache = torch.zeros_like(left), Cache()
        for i in range(left.shape[1]):
            raw = self.raw(x, y, away, cache)[:, 0, :, None, None]  # (B, parameters C, 1, 1)
            x[:, i] = self.function.inverse(left[:, i, :, None, None], raw)[..., 0, 0]
        return self.in_order(x).mT.unflatten(2, self.shape[1:])

    def raw(self, x: Tensor, y: Tensor | None, away: Away | None, cache: Cache) -> Tensor:
        """The function's parameters of the next token, guided away from labels where these are given:
        (B, 1, parameters C). Guidance is one pass of twice as many rows. Apart from the source, its weight
        is the same for all tokens, and the scale is extrapolated before its bound.
        """
        if away is None or y is None:
            return self.network(x, y, cache)
        own, worse = self.network(torch.cat([x, x]), torch.cat([y, away.y]), cache).chunk(2)
        return worse + away.scale * (own - worse)

    def in_order(self, tokens: Tensor) -> Tensor:
        """Tokens from raster order to that of the layer, or back: (B, T, ..) -> the same shape."""
        return tokens.flip(1) if self.backwards else tokens


class TarFlow(Composed, Guidable):
    """Pixels to the real line, squares of pixels as tokens, then causal layers in alternating directions.

    (B, C, H, W) -> (B, C H W).
    shape: (C, H, W) of the images. pixels: the map from [0, 256) to the real line. coupling: the function of
    the layers. networks: of the layers. layers: their number; 1 is legal, but then no token sees those after
    it.
    patch: P, side of the squares of pixels that are a token each; it divides H and W.
    Raises ValueError on numbers outside their range. Source: Zhai et al. 2024.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        pixels: Transform,
        coupling: CouplingFunction,
        networks: CausalNets,
        layers: int = 4,
        patch: int = 2,
    ) -> None:
        check_count("flow.layers", layers, MOST_LAYERS, usual=4)
        channels, height, width = shape
        fold = Squeeze((channels, height, width), patch)
        causal = (CausalLayer(fold.shape, coupling, networks, backwards=k % 2 == 1) for k in range(layers))
        super().__init__([pixels, fold, *causal, Flatten(fold.shape)])

    def guided(self, z: Tensor, y: Tensor | None, away: Away) -> Tensor:
        for part in reversed(cast("Sequence[Transform]", self.transforms)):
            z = part.guided(z, y, away) if isinstance(part, Guidable) else part.inverse(z, y)
        return z
