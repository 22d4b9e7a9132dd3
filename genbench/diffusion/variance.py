"""Variances of a reverse step: between beta and beta~, or fitted to training images."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from genbench.diffusion.bound import second_beta_tilde
from genbench.diffusion.guidance import LabelDenoiser
from genbench.diffusion.posterior import Interpolated, ReverseVariance, Widened
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.times import lattice
from genbench.probability.buckets import gaussian_log_prob

__all__ = ["Beta", "BetaTilde", "Fitted", "Learned", "Variance"]

GROUPS = 64  # of steps that share their images' mean error; fewer where they would have fewer than 16
DECODER_SHARE = 1 / 8  # of the images: the decoder holds most of the nats
LOG_STDS = torch.linspace(math.log(2e-4), math.log(2.0), 64, dtype=torch.float64)  # from 1/40 of a level


class Variance(nn.Module, ABC):
    """The variance of p(x_s | x_t). What is fitted after training stands in its buffers."""

    answers: int = 1
    """Channels of the network's answer for each channel of the image."""

    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless the variance fits a schedule; most fit all."""

    @abstractmethod
    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        """The network's answer for the image, and the variance of a step from t.

        output (B, answers * C, H, W), t (B,) on the grid -> (B, C, H, W), ReverseVariance.
        """

    def drawn(self, variance: ReverseVariance) -> ReverseVariance:
        """The variance that samples are drawn with, given the likelihood's; by default the same."""
        return variance

    def fit(
        self,
        denoise: LabelDenoiser,
        schedule: Schedule,
        batches: Iterable[tuple[Tensor, Tensor | None]],
    ) -> None:
        """Follow a trained model on training images (B, C, H, W) with labels; most variances do not."""


class BetaTilde(Variance):
    """The posterior's own variance, right for data of a single point. Source: Ho et al. 2020, Section 3.2."""

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        return output, Interpolated(torch.zeros((), dtype=torch.float64, device=output.device))


class Beta(Variance):
    """The forward step's variance, right for data that are N(0, I). Source: Ho et al. 2020, Section 3.2."""

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        return output, Interpolated(torch.ones((), dtype=torch.float64, device=output.device))


class Learned(Variance):
    """v = (raw + 1) / 2, raw being the second half of the network's channels.

    answers: what the network has to be built with; a key of the configuration, so that networks can refer to
    it.
    Source: Nichol & Dhariwal 2021, Eq. 15.
    """

    def __init__(self, answers: int = 2) -> None:
        super().__init__()
        if answers != 2:
            raise ValueError(f"variance.answers is {answers}; the network answers 2: the image and v")
        self.answers = answers

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        image, raw = output.chunk(2, dim=1)
        return image, Interpolated((raw + 1) / 2)


class Fitted(Variance):
    """beta~ + of_x0^2 m_t, m_t = E|x0 - x0_hat(x_t)|^2 / D over training images: the best constant variance.

    It holds for steps of any length, since m_t does not depend on where a step ends. On the images that it is
    fitted to no other variance that is constant over pixels has a better bound, up to what is said of `fit`.
    Until it is fitted m = 0, which is BetaTilde.
    T: the schedule's. samples: whether samples are drawn with the same m too; else with beta~. Under it the
    states of ancestral sampling are as wide as the forward process's, but it answers the errors of an
    imperfect network with noise, which can cost image quality.
    Source: Bao et al. 2022 (Analytic-DPM), Theorem 1.
    Unlike there, estimates are clipped as the likelihood's bound clips them and not as the sampler does,
    since by default the bound alone uses m: the likelihood then does not depend on how samples are drawn.
    """

    m: Tensor
    """m_1 .. m_T, (T,) float64. m_1 belongs to the decoder alone, whose variance is beta~_2 + m_1: it is
    the one under which the 8-bit images are likeliest, and m_1 may be below 0."""

    def __init__(self, T: int, *, samples: bool = False) -> None:
        super().__init__()
        if T < 1:
            raise ValueError(f"variance.T is {T}; it must be at least 1")
        self.T, self.samples = T, samples
        self.register_buffer("m", torch.zeros(T, dtype=torch.float64))

    def check(self, schedule: Schedule) -> None:
        if schedule.T != self.T:
            raise ValueError(f"variance.T is {self.T}, and schedule.T is {schedule.T}: they must be equal")

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        k = torch.round(t.double() * self.T).long()
        return output, Widened(self.m[k - 1][:, None, None, None])

    def drawn(self, variance: ReverseVariance) -> ReverseVariance:
        return variance if self.samples else Widened(torch.zeros_like(self.m[0]))

    @torch.no_grad()
    def fit(
        self,
        denoise: LabelDenoiser,
        schedule: Schedule,
        batches: Iterable[tuple[Tensor, Tensor | None]],
    ) -> None:
        """Measure the error of x0_hat at one step for each image, and smooth it over the steps.

        m_t / (1 - alpha_bar_t), which is 0 for beta~ and 1 for beta, is averaged over groups of neighbouring
        steps and read off linearly in the log-SNR between them. For latents, which have no discretised
        likelihood, m_1 means nothing, and nothing uses it.
        Raises ValueError where there is no image, FloatingPointError where an error is not finite.
        """
        steps, errors, decoder = list[Tensor](), list[Tensor](), torch.zeros(len(LOG_STDS)).double()
        for x0, y in batches:
            k = draw_steps(len(x0), self.T, x0.device)
            t, at = k / self.T, schedule.level(k / self.T)
            x0_hat = denoise(at.alpha * x0 + at.sigma * torch.randn_like(x0), t, y).x0
            steps.append(k)
            errors.append((x0 - x0_hat).double().square().flatten(1).mean(1))
            decoder += decoder_nats(x0[k == 1], x0_hat[k == 1])
        if not steps:
            raise ValueError("there is no image to fit the variance to")
        k, error = torch.cat(steps), torch.cat(errors)
        if not bool(error.isfinite().all()):
            raise FloatingPointError("an estimate of x0 is not finite: train at a lower optim.lr")
        self.m.copy_(smooth(k, error, schedule))
        if self.T > 1 and bool((k == 1).any()):
            first = second_beta_tilde(schedule, k).reshape(())
            self.m[0] = float(torch.exp(2 * minimum_by_parabola(LOG_STDS, decoder))) - first


def draw_steps(n: int, T: int, device: torch.device) -> Tensor:
    """Draw steps 1..T for n images, about evenly in log(k + T / 50), and step 1 a share more: (n,) float64.

    The terms of the bound fall about as 1 / k, while a sampler of few steps needs all of the grid. Steps are
    strata of each batch, so that every batch covers them all.
    """
    u = (lattice(n, device) - DECODER_SHARE) / (1 - DECODER_SHARE)
    shift = T / 50
    k = torch.exp(u * math.log((T + 1 + shift) / (1 + shift))) * (1 + shift) - shift
    return torch.floor(k).clamp(1, T)


def smooth(k: Tensor, error: Tensor, schedule: Schedule) -> Tensor:
    """Smooth squared errors (n,) at steps k (n,) to m_1 .. m_T, (T,) float64 on the host."""
    k, order = k.sort()
    alpha_bar, table = schedule.alpha_bar(k / schedule.T).cpu(), schedule.table[1:].cpu()
    # Images of one step are never parted: two groups at one place would have no line between them.
    rank, groups = torch.searchsorted(k, k).cpu(), min(GROUPS, max(len(k) // 16, 1))
    _, group, sizes = torch.unique(rank * groups // len(k), return_inverse=True, return_counts=True)

    def mean(values: Tensor) -> np.ndarray:
        return (torch.zeros_like(sizes).double().index_add_(0, group, values) / sizes).numpy()

    # Bounded, so that places are finite where no signal is left.
    places, seen = (-torch.logit(at, eps=1e-12) for at in (table, alpha_bar))
    ratio = np.interp(places.numpy(), mean(seen), mean(error[order].cpu() / (1 - alpha_bar)))
    return torch.from_numpy(ratio) * (1 - table)


def decoder_nats(x0: Tensor, x0_hat: Tensor) -> Tensor:
    """-log p(x0 | x_1) in nats, summed over images (B, C, H, W), at each of LOG_STDS: (n,) float64."""
    log_std = LOG_STDS.float().to(x0.device)[:, None, None, None]
    # Image by image, since memory is needed for all widths of the decoder at once.
    nats = [gaussian_log_prob(a, b, log_std).double().sum((1, 2, 3)) for a, b in zip(x0, x0_hat, strict=True)]
    return -sum(nats, torch.zeros(len(LOG_STDS), dtype=torch.float64, device=x0.device)).cpu()


def minimum_by_parabola(places: Tensor, values: Tensor) -> Tensor:
    """The place of a function's minimum, () float64, by a parabola through its least value and both sides.

    places (n,) evenly spaced, values (n,), n >= 3.
    """
    i = int(values.argmin().clamp(1, len(values) - 2))
    before, here, after = values[i - 1 : i + 2]
    bend = before - 2 * here + after
    shift = torch.where(bend > 0, (before - after) / (2 * bend), 0.0).clamp(-1, 1)
    return places[i] + shift * (places[1] - places[0])
