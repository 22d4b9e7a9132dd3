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
from genbench.diffusion.schedule import Schedule, log_snr_of
from genbench.diffusion.times import lattice
from genbench.probability.buckets import gaussian_log_prob
from genbench.text.condition import Conditioning

__all__ = ["Beta", "BetaTilde", "Fitted", "LearnedVariance", "Variance"]

GROUPS = 64  # of steps that share the mean error of their images; fewer where they have fewer than 16 images
DECODER_SHARE = 1 / 8  # of the images are fitted at step 1: the decoder has most of the nats
LOG_STDS = torch.linspace(math.log(2e-4), math.log(2.0), 64, dtype=torch.float64)  # from 1/40 of a level


class Variance(nn.Module, ABC):
    """The variance of the reverse step p(x_s | x_t), for likelihoods and for ancestral sampling; abstract.

    A variance that is fitted after training stores its numbers in buffers, which checkpoints save.
    """

    answers: int = 1
    """Channels of the network's answer for each channel of the image."""

    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless the variance fits the schedule's number of steps; by default it fits any.

        Called when a process is built, before anything is trained.
        """

    @abstractmethod
    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        """Split the network's answer into that for the image and the variance of a step from t.

        output (B, answers * C, H, W), t (B,) on the grid -> (B, C, H, W) and a ReverseVariance.
        """

    def for_sampling(self, variance: ReverseVariance) -> ReverseVariance:
        """Return the variance that samples are drawn with, given that of the likelihood; by default the same.

        They differ where the best likelihood costs image quality.
        """
        return variance

    def fit(
        self,
        denoise: LabelDenoiser,
        schedule: Schedule,
        batches: Iterable[tuple[Tensor, Conditioning]],
    ) -> None:
        """Fit the variance to the errors of a trained model on training images (B, C, H, W) with labels.

        denoise: the estimates that the likelihood uses. By default nothing is fitted.
        """


class BetaTilde(Variance):
    """beta~, the posterior's own variance: the optimum for data of a single point.

    Source: Ho et al. 2020, Section 3.2.
    """

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        return output, Interpolated(torch.zeros((), dtype=torch.float64, device=output.device))


class Beta(Variance):
    """beta, the forward step's variance: the optimum for data that are N(0, I).

    Source: Ho et al. 2020, Section 3.2.
    """

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        return output, Interpolated(torch.ones((), dtype=torch.float64, device=output.device))


class LearnedVariance(Variance):
    """log variance = v log beta + (1 - v) log beta~, v = (raw + 1) / 2, raw the second half of the channels.

    answers: the number that the network is built with; a key of the configuration, so that networks can refer
    to it. Raises ValueError unless it is 2.
    Source: Nichol & Dhariwal 2021, Eq. 15.
    """

    def __init__(self, answers: int = 2) -> None:
        super().__init__()
        if answers != 2:
            raise ValueError(f"variance.answers is {answers}; it must be 2: the image and v")
        self.answers = answers

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        image, raw = output.chunk(2, dim=1)
        return image, Interpolated((raw + 1) / 2)


class Fitted(Variance):
    """beta~ + of_x0^2 m_t, m_t = E|x0 - x0_hat(x_t)|^2 / D over training images: the best constant variance.

    It holds for steps of any length, since m_t does not depend on where a step ends. On the images that it is
    fitted to no other variance that is constant over pixels has a better bound, up to the smoothing in `fit`.
    Until it is fitted m = 0, which is BetaTilde.
    T: the schedule's. samples: draw samples with the same m too; else with beta~. With m the states of
    ancestral sampling have the variance of the forward process, but the errors of an imperfect network are
    answered with noise, which can cost image quality. Raises ValueError unless T >= 1.
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
        schedule.check_steps(self.T, "variance.T")

    def split(self, output: Tensor, t: Tensor) -> tuple[Tensor, ReverseVariance]:
        k = torch.round(t.double() * self.T).long()
        return output, Widened(self.m[k - 1][:, None, None, None])

    def for_sampling(self, variance: ReverseVariance) -> ReverseVariance:
        return variance if self.samples else Widened(torch.zeros_like(self.m[0]))

    @torch.no_grad()
    def fit(
        self,
        denoise: LabelDenoiser,
        schedule: Schedule,
        batches: Iterable[tuple[Tensor, Conditioning]],
    ) -> None:
        """Measure the error of x0_hat at one step for each image, and smooth it over the steps.

        m_t / (1 - alpha_bar_t), which is 0 for beta~ and 1 for beta, is averaged over groups of neighbouring
        steps and interpolated linearly in the log-SNR between them. For latents, which have no discretised
        likelihood, m_1 has no meaning, and nothing uses it.
        Raises ValueError where there is no image, FloatingPointError where an error is not finite.
        """
        steps, errors, decoder = list[Tensor](), list[Tensor](), torch.zeros(len(LOG_STDS)).double()
        for x0, y in batches:
            k = draw_steps(len(x0), self.T, x0.device)
            t, at = k / self.T, schedule.level(k / self.T)
            # One noised state of each image; neighbouring steps then share the mean of their errors.
            x0_hat = denoise(at.alpha * x0 + at.sigma * torch.randn_like(x0), t, y).x0
            steps.append(k)
            errors.append((x0 - x0_hat).double().square().flatten(1).mean(1))
            # The decoder's likelihood at every candidate, summed; its minimum is found below.
            decoder += decoder_nats(x0[k == 1], x0_hat[k == 1])
        if not steps:
            raise ValueError("no images were given to fit the variance to: pass at least one batch")
        k, error = torch.cat(steps), torch.cat(errors)
        if not bool(error.isfinite().all()):
            raise FloatingPointError(
                "variance=fitted found an estimate of x0 that is not finite: train at a lower optim.lr"
            )
        self.m.copy_(smooth(k, error, schedule))
        # The decoder's own optimum over its discretised likelihood, for want of a closed form.
        if self.T > 1 and bool((k == 1).any()):
            # The decoder's variance is beta~_2 + m_1, as the bound reads beta~_1.
            first = second_beta_tilde(schedule, k).reshape(())
            self.m[0] = float(torch.exp(2 * minimum_by_parabola(LOG_STDS, decoder))) - first


def draw_steps(n: int, T: int, device: torch.device) -> Tensor:
    """Draw steps 1..T for n images, about evenly in log(k + T / 50), and step 1 for a share of them.

    (n,) float64. The terms of the bound fall about as 1 / k, while a sampler of few steps needs all of the
    grid. The steps are strata of each batch, so that every batch covers the whole grid.
    """
    u = (lattice(n, device) - DECODER_SHARE) / (1 - DECODER_SHARE)  # below 0 for the decoder's share
    shift = T / 50
    k = torch.exp(u * math.log((T + 1 + shift) / (1 + shift))) * (1 + shift) - shift
    return torch.floor(k).clamp(1, T)


def smooth(k: Tensor, error: Tensor, schedule: Schedule) -> Tensor:
    """Average squared errors (n,) at steps k (n,) over groups of steps, and interpolate: m_1 .. m_T.

    (T,) float64 on the host.
    """
    k, order = k.sort()
    alpha_bar, table = schedule.alpha_bar(k / schedule.T).cpu(), schedule.table[1:].cpu()
    # Groups of about equally many images, cut between steps: two groups of one step would be at one place,
    # with no line between them.
    rank, groups = torch.searchsorted(k, k).cpu(), min(GROUPS, max(len(k) // 16, 1))
    _, group, sizes = torch.unique(rank * groups // len(k), return_inverse=True, return_counts=True)

    def mean(values: Tensor) -> np.ndarray:
        return (torch.zeros_like(sizes).double().index_add_(0, group, values) / sizes).numpy()

    # Bounded by eps, so that places are finite where no signal is left.
    places, fitted = (-log_snr_of(at, eps=1e-12) for at in (table, alpha_bar))
    ratio = np.interp(places.numpy(), mean(fitted), mean(error[order].cpu() / (1 - alpha_bar)))
    return torch.from_numpy(ratio) * (1 - table)


def decoder_nats(x0: Tensor, x0_hat: Tensor) -> Tensor:
    """-log p(x0 | x_1) in nats, summed over images (B, C, H, W), at each of LOG_STDS: (n,) float64.

    p is the Gaussian N(x0_hat, std^2) integrated over the 256 buckets.
    """
    log_std = LOG_STDS.float().to(x0.device)[:, None, None, None]
    # Image by image, since memory is needed for all widths of the decoder at once.
    nats = [gaussian_log_prob(a, b, log_std).double().sum((1, 2, 3)) for a, b in zip(x0, x0_hat, strict=True)]
    return -sum(nats, torch.zeros(len(LOG_STDS), dtype=torch.float64, device=x0.device)).cpu()


def minimum_by_parabola(places: Tensor, values: Tensor) -> Tensor:
    """Find the minimum of a function by a parabola through its least value and the values on both sides.

    places (n,) evenly spaced, values (n,), n >= 3 -> its place, () float64.
    """
    # An inner point, so that both neighbours exist.
    i = int(values.argmin().clamp(1, len(values) - 2))
    before, here, after = values[i - 1 : i + 2]
    bend = before - 2 * here + after
    shift = torch.where(bend > 0, (before - after) / (2 * bend), 0.0).clamp(-1, 1)
    return places[i] + shift * (places[1] - places[0])
