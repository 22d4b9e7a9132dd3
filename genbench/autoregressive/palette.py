"""A palette: each pixel is one of few colours, and a token is the colour's number."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator as Rng
from torch import Tensor, nn

from genbench.autoregressive.pixel_law import PixelLaw, softmax_log_prob
from genbench.probability.counts import check_count
from genbench.probability.nearest import nearest
from genbench.runtime import global_batch

__all__ = ["Palette", "k_means"]

MOST_PIXELS = 2**16  # of k-means
MOST_COLOURS = 1024  # its time grows with the square of their number
MOST_ROUNDS = 1000


class Palette(nn.Module, PixelLaw):
    """Each pixel is one of `size` colours: softmax over them, one token a pixel whatever the channels.

    The colours are the centres of k-means, `rounds` rounds of it, over the pixels of the first batch of a
    training, a random 2^16 of them at most; they never change then, and are part of the model's state.
    log_prob is that of the image with each pixel replaced by the nearest colour, not of the 8-bit image: the
    two must not be compared, as `method` says.
    Raises ValueError on fewer colours than two, and on more than 1024.
    Source: Chen et al. 2020 (iGPT), Section 3.2.
    """

    whole_pixels = True
    ordered = False
    bound = "estimate"

    colours: Tensor

    def __init__(self, shape: Sequence[int], *, size: int = 16, rounds: int = 20) -> None:
        super().__init__()
        check_count("pixel_law.size", size, MOST_COLOURS, least=2, usual=16)
        check_count("pixel_law.rounds", rounds, MOST_ROUNDS, least=0, usual=20)
        self.levels, self.rounds = size, rounds
        self.method = f"palette of {size} colours, not comparable"
        self.register_buffer("colours", torch.linspace(-1, 1, size)[:, None].repeat(1, shape[0]))

    def outputs(self, channels: int) -> int:
        return self.levels

    @torch.no_grad()
    def fit(self, tokens: Tensor) -> None:
        pixels = global_batch.whole(tokens.float()).flatten(0, 1)
        pixels = pixels[torch.randperm(len(pixels), device=pixels.device)[:MOST_PIXELS]]
        self.colours.copy_(k_means(pixels, self.levels, rounds=self.rounds))

    def log_prob(self, output: Tensor, tokens: Tensor) -> Tensor:
        return softmax_log_prob(output, self.to_level(tokens)[..., 0])

    def sample(self, output: Tensor, *, rng: Rng | None = None) -> Tensor:
        return self.to_value(global_batch.choice(output.float().softmax(1), rng=rng))

    def to_level(self, x: Tensor) -> Tensor:
        """The number 0..size-1 of the colour nearest to each token: (..., C) -> (..., 1) int64."""
        return nearest(x.float(), self.colours.float())[..., None]

    def to_value(self, level: Tensor) -> Tensor:
        """The colour of each number: (..., 1) -> (..., C) float32."""
        return self.colours.float()[level[..., 0]]


def k_means(points: Tensor, size: int, *, rounds: int) -> Tensor:
    """The centres of `size` clusters of points (N, C): (size, C).

    Starts at points far apart, each drawn in proportion to its squared distance to the nearest centre so far;
    then each centre moves to the mean of the points nearest to it, `rounds` times. A centre that is nearest
    to no point does not move. Draws from the default generator.
    Source: Lloyd 1982; the start: Arthur & Vassilvitskii 2007 (k-means++), Section 2.2.
    """
    centres = points[torch.randint(len(points), (1,), device=points.device)]
    for _ in range(size - 1):
        far = (points - centres[nearest(points, centres)]).square().sum(1)
        # The small constant lets any point be drawn where all of them coincide with centres.
        centres = torch.cat([centres, points[torch.multinomial(far + 1e-12, 1)]])
    for _ in range(rounds):
        member = F.one_hot(nearest(points, centres), size).to(points.dtype)  # (N, size)
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T @ points / count.clamp(min=1), centres)
    return centres
