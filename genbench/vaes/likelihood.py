"""Pixel likelihoods p(8-bit image | answer of a network): distributions of each pixel over 256 levels."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.probability.buckets import LEVELS, gaussian_log_prob, log_sinhc, logistic_log_prob
from genbench.probability.distance import PixelDistance
from genbench.probability.logistic_mixture import CoupledLogistics, check_mixture, mixture, mixture_numbers

__all__ = [
    "Bernoulli",
    "Discretised",
    "Gaussian",
    "Logistic",
    "Mixture",
    "PixelLikelihood",
    "Pointwise",
]


class PixelLikelihood(nn.Module, ABC):
    """p(x | output) over 8-bit images x, all pixels independent given the network's output.

    output (B, outputs * C, H, W) is the network's answer, x (B, C, H, W) the image in [-1, 1].
    """

    outputs: int = 1
    """Channels of the network's answer for each channel of the image."""

    @abstractmethod
    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p of the discrete 8-bit image in nats, summed over its D dimensions.

        output (B, outputs * C, H, W), x (B, C, H, W) in [-1, 1] -> (B,) float32. Raises ValueError where
        their shapes differ.
        """

    @abstractmethod
    def mean(self, output: Tensor) -> Tensor:
        """The mean image, which samples show without pixel noise.

        output (B, outputs * C, H, W) -> (B, C, H, W) float32, near [-1, 1] and not clamped to it.
        """

    def training_nats(self, output: Tensor, x: Tensor) -> Tensor:
        """The training loss summed over D: -log_prob unless a likelihood has a surrogate of it.

        Arguments as for log_prob -> (B,) float32.
        """
        return -self.log_prob(output, x)

    def answers(self, channels: int) -> int:
        """The channels of the network's answer for images of so many channels."""
        return self.outputs * channels

    def check(self, output: Tensor, x: Tensor) -> None:
        """Raise ValueError unless output (B, outputs * C, H, W) fits the images x (B, C, H, W).

        The message names the decoder's setting out_channels, which decides it.
        """
        wanted = self.answers(x.shape[1])
        if output.shape[1] != wanted or output.shape[2:] != x.shape[2:]:
            raise ValueError(
                f"the network answers {tuple(output.shape[1:])} for images of {tuple(x.shape[1:])}; "
                f"{type(self).__name__} reads {wanted} channels of that size: set the decoder's "
                "out_channels, or its patch and multipliers as the encoder's"
            )


class Discretised(PixelLikelihood):
    """A location-scale density integrated over buckets: the output is the location, the scale is learned.

    scale = min_scale + exp(raw), one raw number a channel, starting at initial_scale (on digits, 0.5 for the
    Gaussian gave better samples than 0.2 and 0.3).
    mean is the location. Raises ValueError unless 0 < min_scale < initial_scale.
    Source: the shared learned scale is that of Rybkin et al. 2021 (sigma-VAE), Section 3.
    """

    def __init__(self, shape: Sequence[int], *, min_scale: float = 0.005, initial_scale: float = 0.5) -> None:
        super().__init__()
        if not 0 < min_scale < initial_scale:
            raise ValueError(
                f"likelihood.min_scale={min_scale} must be above 0 and below "
                f"likelihood.initial_scale={initial_scale}, e.g. 0.005 and 0.5"
            )
        self.min_scale = min_scale
        raw = math.log(initial_scale - min_scale)
        self.raw_log_scale = nn.Parameter(torch.full((shape[0], 1, 1), raw))

    def log_scale(self) -> Tensor:
        """The logarithm of each channel's scale, log(min_scale + e^raw): (C, 1, 1)."""
        return torch.log(self.min_scale + self.raw_log_scale.exp())

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        self.check(output, x)
        return self.bucket_log_prob(x, output.float(), self.log_scale()).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return output.float()

    @abstractmethod
    def bucket_log_prob(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        """log p of each pixel's bucket, in the shape of x (B, C, H, W); log_scale (C, 1, 1)."""


class Logistic(Discretised):
    """Discretised logistic pixels with one learned scale a channel.

    Source: Kingma et al. 2016, Section C.4 of the appendix; open end buckets of Salimans et al. 2017.
    """

    def bucket_log_prob(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        return logistic_log_prob(x, mean, log_scale)


class Gaussian(Discretised):
    """Discretised Gaussian pixels with one learned standard deviation a channel.

    p(k) = Phi((x_k + 1/255 - mean) / scale) - Phi((x_k - 1/255 - mean) / scale), open at the ends. Source: Ho
    et al. 2020, Eq. 13.
    """

    def bucket_log_prob(self, x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
        return gaussian_log_prob(x, mean, log_scale)


class Mixture(PixelLikelihood):
    """A mixture of discretised logistic distributions of whole pixels, the channels coupled linearly.

    The network answers all its numbers, see genbench.probability.logistic_mixture, whose formula is that of
    pixel_law=mixture; network.out_channels follows from `components`.
    mean: of the mixture. The source draws from it instead, one component a pixel.
    Raises ValueError unless components >= 1 and min_log_scale, the lower clamp of log s, is below 0.
    Source: Salimans et al. 2017 (PixelCNN++), Section 2.1 and 2.2; in a VAE Child 2021, Section 3.3.
    """

    def __init__(self, components: int = 5, *, min_log_scale: float = -7.0) -> None:
        super().__init__()
        check_mixture("likelihood", components, min_log_scale)
        self.components, self.min_log_scale = components, min_log_scale

    def answers(self, channels: int) -> int:
        return mixture_numbers(self.components, channels)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        self.check(output, x)
        return self.parts(output, x.shape[1]).log_prob(x.movedim(1, -1)).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        count = output.shape[1]
        channels = next(c for c in range(1, count + 1) if self.answers(c) == count)
        return self.parts(output, channels).mean().movedim(-1, 1)

    def parts(self, output: Tensor, channels: int) -> CoupledLogistics:
        """The mixture of each pixel, (B, H, W, ..), that output (B, answers, H, W) describes."""
        return mixture(output.float().movedim(1, -1), self.components, channels, self.min_log_scale)


class Bernoulli(PixelLikelihood):
    """The grey level g = (x + 1) / 2 as a probability; the output is its logit l.

    Training minimises the cross entropy -g l + log(1 + e^l), which is no distribution over grey levels;
    log_prob is: p(k) = e^(l k / 255) / sum_j e^(l j / 255), the same cross entropy normalised over the 256
    levels. mean is 2 sigmoid(l) - 1, at which the cross entropy is least.
    Source: the normaliser is that of Loaiza-Ganem & Cunningham 2019, Eq. 4, for 256 levels instead of [0, 1].
    """

    def training_nats(self, output: Tensor, x: Tensor) -> Tensor:
        self.check(output, x)
        grey = (x + 1) / 2
        # Of grey levels between 0 and 1 too, as if a pixel were drawn black or white with this probability.
        return F.binary_cross_entropy_with_logits(output.float(), grey, reduction="none").flatten(1).sum(1)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        self.check(output, x)
        # The geometric series: sum_j e^(l j / 255) = e^(l / 2) sinh(128 l / 255) / sinh(l / 510).
        step = output.float() / (LEVELS - 1)
        log_sum = math.log(LEVELS) + log_sinhc(step * (LEVELS / 2)) - log_sinhc(step / 2)
        return (output.float() * x / 2 - log_sum).flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return 2 * output.sigmoid() - 1


class Pointwise(PixelLikelihood):
    """A distance rho between image and output as a likelihood, p(k) ~ exp(-rho(x_k, output) / scale).

    objective: rho. Training minimises rho / scale; log_prob is normalised over the 256 levels, `chunk` of
    them at a time. scale is a number, not learned: the loss without its normaliser would make it infinite.
    mean is the output. Raises ValueError unless scale > 0 and chunk >= 1.
    """

    def __init__(self, objective: PixelDistance, *, scale: float = 0.05, chunk: int = 8) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"likelihood.scale is {scale}; it must be above 0, e.g. 0.05")
        if chunk < 1:
            raise ValueError(f"likelihood.chunk is {chunk}; it must be at least 1, e.g. 8")
        self.objective, self.scale, self.chunk = objective, scale, chunk

    def training_nats(self, output: Tensor, x: Tensor) -> Tensor:
        self.check(output, x)
        return self.objective.pointwise(output.float(), x).flatten(1).sum(1) / self.scale

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        mean = output.float()
        log_sum = torch.full_like(mean, -math.inf)  # log of the normaliser, (B, C, H, W)
        for levels in torch.linspace(-1, 1, LEVELS, device=x.device).split(self.chunk):
            each = levels.reshape(-1, 1, 1, 1, 1).expand(-1, *mean.shape)
            energies = self.objective.pointwise(mean.expand_as(each), each) / self.scale
            log_sum = torch.logaddexp(log_sum, torch.logsumexp(-energies, dim=0))
        return -self.training_nats(output, x) - log_sum.flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        return output.float()
