"""The binomial process, diffusion over black and white images: each step erases some of the pixels.

Notation: x in {-1, +1}; alpha_k = prod_{i <= k} (1 - beta_i), a schedule's alpha_bar.
Kernel q(x_k | x_{k-1}) = (1 + (1 - beta_k) x_k x_{k-1}) / 2: a share beta_k of the pixels become fair coins,
+1 or -1 with probability 1/2 each.
Hence q(x_k | x_0) = (1 + alpha_k x_k x_0) / 2.
Source: Sohl-Dickstein et al. 2015, Table App.1.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench.diffusion.density import sampled_terms
from genbench.diffusion.process import Known, LikelihoodProcess
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.times import Times
from genbench.probability.loss import Loss, weighted_mean
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = [
    "BinomialDiffusion",
    "ErasureSchedule",
    "Reverse",
    "binomial_prior_nats",
    "binomial_step_nats",
    "check_binary",
    "coins",
    "posterior_logit",
    "reverse",
]


class ErasureSchedule(Schedule):
    """alpha_k = 1 - k / T: beta_k = 1 / (T - k + 1), so that each step erases an equal share of the image.

    Source: Sohl-Dickstein et al. 2015, Section 2.4.1.
    """

    def __init__(self, T: int = 1000) -> None:
        super().__init__(T)

    def at(self, k: Tensor) -> Tensor:
        return 1 - k.double() / self.T


class BinomialDiffusion(LikelihoodProcess):
    """Schedule + times; the network predicts each pixel of x0 from the others.

    The logit of p(x0 = +1 | xt) is its answer + 2 xt atanh(alpha_t), the evidence of the pixel itself (Bayes'
    rule for pixels that are erased independently). So the answer 0 takes pixels for fair coins, of ln 2 nats
    each.
    p(x_s | x_t) = sum_{x0} q(x_s | x_t, x0) p(x0 | x_t), and the loss is the variational bound at one step,
    L_T + T L_{k-1}, plus auxiliary * (-log p(x0 | x_t)), all in nats a dimension.
    steps: of a path from noise to data, evenly spaced on the grid. terms: of the bound that log_prob
    evaluates (see sampled_terms), None: all T. binary: true where the data are black and white.
    Raises ValueError on other data, on a learned schedule, and on numbers outside their range.
    Source: Sohl-Dickstein et al. 2015, Section 2; reverse step and loss: Austin et al. 2021, Eq. 4 and 5.
    """

    bound = "lower"

    def __init__(
        self,
        *,
        schedule: Schedule,
        times: Times,
        steps: int = 50,
        terms: int | None = 10,
        auxiliary: float = 1.0,
        binary: bool = True,
    ) -> None:
        super().__init__()
        times.check(schedule)
        if not times.unbiased:
            raise ValueError(
                "process=binomial sums over all steps, and these times draw some more often without "
                "weighting them less: use times=stratified or times=importance"
            )
        check_binomial_settings(schedule, steps=steps, terms=terms, auxiliary=auxiliary, binary=binary)
        self.schedule, self.times = schedule, times
        self.steps, self.terms, self.auxiliary = steps, terms, auxiliary
        self.method = "vlb (binary)" if terms is None else f"vlb, {terms} terms (binary)"

    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        check_binary(x0)
        t, weight = self.times(len(x0), self.schedule, x0.device)
        xt, dimensions = self.erased(x0, t, None), x0[0].numel()
        logits = self.logits(network, xt, t, y)
        terms = {
            "prior": binomial_prior_nats(x0, self.schedule) / dimensions,
            # One term stands for the sum over all T: times k are drawn with equal expected weight.
            "vlb": self.schedule.T * binomial_step_nats(x0, xt, logits, t, self.schedule) / dimensions,
        }
        # The cross entropy of x0 itself, from which the network learns faster (Austin et al. 2021, 3.4).
        if self.auxiliary:
            terms["auxiliary"] = -self.auxiliary * F.logsigmoid(x0 * logits).flatten(1).mean(1).float()
        # Importance sampling learns from losses without their weights.
        self.times.update(t, cast("Tensor", sum(terms.values())))
        return weighted_mean(terms, weight)

    def logits(self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning) -> Tensor:
        """log p(x0 = +1 | xt) - log p(x0 = -1 | xt) at xt (B, C, H, W), t (B,): (B, C, H, W) float64.

        Raises ValueError where the network does not answer one number a pixel.
        """
        answer = network(xt, t.float(), y)
        if answer.shape != xt.shape:
            raise ValueError(
                f"the network answers {tuple(answer.shape[1:])} for images of {tuple(xt.shape[1:])}; "
                "process=binomial needs one logit a pixel: set network.answers=1"
            )
        # float64: alpha near 1 makes atanh large, and differences of logits decide pixels.
        return answer.double() + 2 * xt * torch.atanh(self.schedule.alpha_bar(t))[:, None, None, None]

    def check_augmentation(self) -> None:
        raise ValueError(
            "an augmentation makes grey pixels between black and white ones, which process=binomial does not "
            "take: use augmentation=none, or process=gaussian"
        )

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        self.logits(network, x0, torch.ones(len(x0), dtype=torch.float64), y)

    def erased(self, x0: Tensor, t: Tensor, rng: Generator | None) -> Tensor:
        """Draw x_t from q(x_t | x0), in which a pixel is x0 with probability (1 + alpha_t) / 2.

        Images (B, C, H, W), t (B,).
        """
        # q(x_t | x0) in closed form, so that no step before t is simulated.
        alpha = self.schedule.alpha_bar(t)[:, None, None, None]
        return coins((1 + alpha * x0) / 2, uniform_noise(x0, rng))

    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        fair = torch.full((n, *shape), 0.5, device=self.schedule.grid.device)
        return coins(fair, uniform_noise(fair, rng))

    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        check_binary(x0)
        return self.erased(x0, self.path_times(start)[:1], rng)

    def path_times(self, start: float) -> Tensor:
        """Return about `start` = t_0 > .. > t_K = 0, K = steps * start, rounded: (K + 1,) float64."""
        return self.schedule.times(max(round(self.steps * start), 1), start)

    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Conditioning,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        if known is not None:
            check_binary(known.x0[known.mask])
        times = self.path_times(start)
        alpha = self.schedule.alpha_bar(times)
        for k in range(len(times) - 1):
            logits = self.logits(network, x, times[k].expand(len(x)), y)
            if known is not None:  # what is given is certain at every step
                logits = torch.where(known.mask, known.x0 * math.inf, logits)
            x = coins(reverse(logits, x, alpha[k], alpha[k + 1]).log_up.exp(), uniform_noise(x, rng))
            yield x

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        return self.schedule.levels()

    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        check_binary(x0)
        u, alphas = uniform_noise(x0, rng), self.schedule.alpha_bar(self.schedule.frame_times(frames))
        # The same u at all times: each pixel changes its colour at most once.
        return torch.stack([coins((1 + alpha * x0) / 2, u) for alpha in alphas])

    def log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        check_binary(x0)
        total = binomial_prior_nats(x0, self.schedule)
        drawn = sampled_terms(len(x0), self.schedule, x0.device, terms=self.terms)
        for t, weight in zip(*drawn, strict=True):
            xt = self.erased(x0, t, None)
            total = total + weight * binomial_step_nats(
                x0, xt, self.logits(network, xt, t, y), t, self.schedule
            )
        return -total

    def bound_terms(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Iterator[Tensor]:
        check_binary(x0)
        for t in sampled_terms(len(x0), self.schedule, x0.device, terms=None).t:
            xt = self.erased(x0, t, None)
            yield binomial_step_nats(x0, xt, self.logits(network, xt, t, y), t, self.schedule)
        yield binomial_prior_nats(x0, self.schedule)


class Reverse(NamedTuple):
    """A model's distribution p(x_s | x_t) of each pixel, in logarithms: (B, C, H, W) float64 each.

    The two exponentials sum to 1.
    """

    log_up: Tensor
    """log p(x_s = +1 | x_t)."""
    log_down: Tensor
    """log p(x_s = -1 | x_t)."""


def posterior_logit(xt: Tensor, x0: Tensor | float, alpha_t: Tensor, alpha_s: Tensor) -> Tensor:
    """The logit of q(x_s = +1 | x_t, x0), s < t: 2 xt atanh(alpha_t / alpha_s) + 2 x0 atanh(alpha_s).

    Bayes, since log (1 + a x) / (1 - a x) = 2 x atanh(a) for x = -1, +1. Infinite at s = 0, where x_s is x0.
    """
    return 2 * (xt * torch.atanh(alpha_t / alpha_s) + x0 * torch.atanh(alpha_s))


def reverse(logits: Tensor, xt: Tensor, alpha_t: Tensor, alpha_s: Tensor) -> Reverse:
    """p(x_s | x_t) = sum_{x0} q(x_s | x_t, x0) p(x0 | x_t), the latter given by its logits.

    The logits may be infinite. Images and logits are (B, C, H, W), alphas of any shape that broadcasts to
    them. In logarithms throughout, since probabilities near 0 would lose their digits.
    Source: Austin et al. 2021, Eq. 4.
    """
    # The two values of x0 that the sum runs over.
    white, black = (posterior_logit(xt, x0, alpha_t, alpha_s) for x0 in (1.0, -1.0))
    is_white, is_black = F.logsigmoid(logits), F.logsigmoid(-logits)
    return Reverse(
        torch.logaddexp(is_white + F.logsigmoid(white), is_black + F.logsigmoid(black)),
        torch.logaddexp(is_white + F.logsigmoid(-white), is_black + F.logsigmoid(-black)),
    )


def binomial_step_nats(x0: Tensor, xt: Tensor, logits: Tensor, t: Tensor, schedule: Schedule) -> Tensor:
    """L_{k-1} = KL(q(x_{k-1} | x_k, x0) || p(x_{k-1} | x_k)) of each image at its own step k = t T.

    At k = 1 the posterior is x0 itself, and this is -log p(x0 | x_1).
    Images and logits (B, C, H, W), t (B,) -> (B,) float32.
    """
    alpha_t, alpha_s = schedule.around(t)
    p, q = reverse(logits, xt, alpha_t, alpha_s), posterior_logit(xt, x0, alpha_t, alpha_s)
    # Not 1 - up, which would round to 0 for small probabilities.
    up, down = q.sigmoid(), (-q).sigmoid()
    # entr(p) = -p log p is 0 at p = 0, where the posterior is certain.
    entropy = torch.special.entr(up) + torch.special.entr(down)
    return -(up * p.log_up + down * p.log_down + entropy).flatten(1).sum(1).float()


def binomial_prior_nats(x0: Tensor, schedule: Schedule) -> Tensor:
    """L_T = KL(q(x_T | x0) || fair coins) = D (ln 2 - H((1 + alpha_T) / 2)): (B, C, H, W) -> (B,) float32."""
    # The same for all images: the KL of a pixel depends on |x0| = 1 alone.
    last = schedule.alpha_bar(torch.ones(1, dtype=torch.float64, device=x0.device))
    entropy = torch.special.entr((1 + last) / 2) + torch.special.entr((1 - last) / 2)
    return ((math.log(2) - entropy) * x0[0].numel()).expand(len(x0)).float()


def coins(up: Tensor, u: Tensor) -> Tensor:
    """Return +1 where u < up, else -1: draws of probability `up` for uniform u, (B, C, H, W) float32."""
    return torch.where(u < up, 1.0, -1.0)


def uniform_noise(x: Tensor, rng: Generator | None) -> Tensor:
    """Draw uniform numbers in [0, 1) in the shape and on the device of x, float32; rng None: torch's own."""
    return global_batch.uniform(len(x), x.shape[1:], rng=rng, device=x.device)


def check_binary(x: Tensor) -> None:
    """Raise ValueError unless all of x (...) is -1 or +1; tensors on a GPU pass unread.

    Reading one off a GPU would stall every step; there the setting `binary` vouches for the data.
    """
    if x.device.type == "cpu" and bool((grey := x.abs() != 1).any()):
        raise ValueError(
            f"images have the value {float(x[grey][0]):.4g}; process=binomial takes -1 (black) and 1 (white) "
            "alone: set data.binarize=true"
        )


def check_binomial_settings(
    schedule: Schedule, *, steps: int, terms: int | None, auxiliary: float, binary: bool
) -> None:
    """Raise ValueError on settings of BinomialDiffusion that are not legal, with a remedy.

    Illegal are data that are not black and white, a learned schedule, and numbers outside their range.
    """
    if not binary:
        raise ValueError(
            "process=binomial takes black and white images: set data.binarize=true, which data=digits, mnist "
            "and fashion_mnist have, or use process=gaussian"
        )
    if any(True for _ in schedule.parameters()):
        raise ValueError(
            "schedule=learned gets no gradient from discrete pixels: use schedule=erasure or schedule=cosine"
        )
    if not 1 <= steps <= schedule.T:
        raise ValueError(
            f"process.steps is {steps}; it must be from 1 to schedule.T={schedule.T}: use fewer steps or a "
            "larger T"
        )
    if terms is not None and terms < 2:
        raise ValueError(f"process.terms is {terms}; it must be at least 2, e.g. 10, or null for all")
    if auxiliary < 0:
        raise ValueError(
            f"process.auxiliary is {auxiliary}; it must be at least 0 (the bound alone), e.g. 1.0"
        )
