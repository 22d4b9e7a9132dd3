"""Fast samplers: higher-order solvers of the reverse process.

With lambda = log(alpha / sigma), the exact step of the probability-flow ODE from t to s is a DDIM step
towards the mean of x0_hat over lambda_t..lambda_s under weights e^lambda (Lu et al. 2022, DPM-Solver++,
Proposition 4.1). DDIM takes x0_hat at t for that mean; the samplers here differ in what they put in its
place. Over an infinite step (from alpha = 0, or to sigma = 0) no polynomial has such a mean: there all of
them do as DDIM does. h = lambda_s - lambda_t throughout. Solvers for flow matching are in `ode`.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from genbench.diffusion.sampler import Sampler, StepDenoiser, ddim_step
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.spacing import Karras, LogSNR, Spacing

__all__ = ["DPMSolver", "DPMSolverSDE", "HeunSampler", "TwoStep", "UniPC", "mean_over_step"]


class TwoStep(Sampler):
    """A sampler that extrapolates its last two estimates of x0 to the middle of the step ahead; abstract.

    x_s is a DDIM step towards x0_t + h / (2 h_before) (x0_t - x0_before), at one pass a step.
    """

    eta: float
    """Of the DDIM step: 0 is the ODE, 1 the SDE."""

    def __init__(self, steps: int = 20, *, clip_x0: bool = True, spacing: Spacing | None = None) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or LogSNR())

    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        alpha_bar = schedule.alpha_bar(times)
        # As if an infinite step came before: its estimate has no weight.
        before, h_before = x, math.inf
        for k, h in enumerate(schedule.half_log_snr(times).diff().tolist()):
            x0 = denoise(x, k).x0
            # h is infinite to sigma = 0 and from alpha = 0: there the estimate itself is used, as DDIM does.
            slope = h / (2 * h_before) if math.isfinite(h) else 0.0
            x0_mean = x0 + slope * (x0 - before)
            x = ddim_step(x, x0_mean, alpha_bar[k], alpha_bar[k + 1], eta=self.eta, rng=rng)
            before, h_before = x0, h
            yield x


class DPMSolver(TwoStep):
    """DPM-Solver++(2M): deterministic, second order; the last step, to sigma = 0, is of first order.

    Source: Lu et al. 2022 (DPM-Solver++), Algorithm 2.
    """

    eta = 0.0


class DPMSolverSDE(TwoStep):
    """SDE-DPM-Solver++(2M): the same estimates, in steps that draw noise anew as ancestral ones do.

    x_s = sigma_s / sigma_t e^-h xt + alpha_s (1 - e^-2h) x0 + sigma_s sqrt(1 - e^-2h) z: DDIM's at eta = 1.
    Source: Lu et al. 2022 (DPM-Solver++), SDE-DPM-Solver++(2M).
    """

    eta = 1.0


class HeunSampler(Sampler):
    """Heun's method for dy/ds = d(y, s) = (y - x0_hat) / s, y = x / alpha, s = sigma / alpha: second order.

    y' = y + (s' - s) d, y'' = y + (s' - s) (d + d') / 2. Since y' is a DDIM step, y'' is one too, towards
    x0_hat + e^h / 2 (x0_hat' - x0_hat), e^h = s / s'. Two passes a step but the last: 2 steps - 1 at most.
    max_ratio: a step whose s / s' is larger ends at y', in one pass, as the last one always does: with so
    much weight on their difference, x0_hat would be far beyond both estimates. Raises ValueError unless it is
    above 1.
    Source: Karras et al. 2022, Algorithm 1. max_ratio is not theirs, whose steps are short in log s.
    """

    def __init__(
        self,
        steps: int = 20,
        *,
        max_ratio: float = 10.0,
        clip_x0: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or Karras())
        if not max_ratio > 1:
            raise ValueError(f"sampler.max_ratio is {max_ratio}; it must be above 1, e.g. 10.0")
        self.max_ratio = max_ratio

    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        alpha_bar = schedule.alpha_bar(times)
        # e^h = s / s' of each step, infinite in the last one.
        ratios = schedule.half_log_snr(times).diff().exp().tolist()
        for k, ratio in enumerate(ratios):
            x0 = denoise(x, k).x0
            # Without the second pass this is DDIM; the answer of a step that max_ratio excludes.
            euler = ddim_step(x, x0, alpha_bar[k], alpha_bar[k + 1])
            if ratio <= self.max_ratio:
                ahead = denoise(euler, k + 1).x0
                x = ddim_step(x, x0 + ratio / 2 * (ahead - x0), alpha_bar[k], alpha_bar[k + 1])
            else:
                x = euler
            yield x


class UniPC(Sampler):
    """UniPC with B_2(h) = e^h - 1 on estimates of x0: a predictor, and a corrector without passes of its own.

    The predictor's polynomial goes through the last `order` estimates; the corrector's also through the one
    at the predicted state, which the next step needs anyway: one pass a step, and one order more than the
    predictor has. The first steps have fewer estimates; the last two take 2 and 1 at most.
    Raises ValueError on an order other than 2 and 3.
    Source: Zhao et al. 2023, Algorithms 1 and 2, Theorem 3.1 and Corollary 3.2.
    """

    def __init__(
        self,
        steps: int = 20,
        *,
        order: int = 2,
        clip_x0: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or LogSNR())
        if order not in (2, 3):
            raise ValueError(f"sampler.order is {order}; it must be 2 or 3")
        self.order = order

    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        alpha_bar, lam = schedule.alpha_bar(times), schedule.half_log_snr(times).tolist()
        # past: (lambda, x0_hat) of earlier steps, the latest first.
        x0, past = denoise(x, 0).x0, list[tuple[float, Tensor]]()
        for k in range(len(times) - 1):
            h, left = lam[k + 1] - lam[k], len(times) - 1 - k
            # Places u of earlier estimates in units of the step ahead, all below 0.
            known = [((at - lam[k]) / h, estimate) for at, estimate in past[: min(self.order, left) - 1]]
            predicted = ddim_step(x, mean_over_step(x0, known, h), alpha_bar[k], alpha_bar[k + 1])
            if left == 1:
                yield predicted
                return
            # It corrects this step and is the first estimate of the next.
            ahead = denoise(predicted, k + 1).x0
            if math.isfinite(h):
                mean = mean_over_step(x0, [*known, (1.0, ahead)], h)
                x = ddim_step(x, mean, alpha_bar[k], alpha_bar[k + 1])
                past = [(lam[k], x0), *past[: self.order - 2]]
            else:
                x = predicted
            x0 = ahead
            yield x


def mean_over_step(x0: Tensor, others: Sequence[tuple[float, Tensor]], h: float) -> Tensor:
    """The mean under weights e^(h u), 0 <= u <= 1, of the polynomial through x0 at u = 0 and each (u, x0_u).

    x0 + sum_i a_i (x0_i - x0) / u_i with sum_i a_i u_i^(j - 1) = mean of u^j, j = 1..q; images (B, C, H, W).
    For q = 1 the source takes a = 1/2, the limit of h = 0, which has the same order.
    Source: Zhao et al. 2023, Theorem 3.1 (R_p a_p B(h) = phi_p(h)).
    """
    q = len(others)
    u = torch.tensor([at for at, _ in others], dtype=torch.float64)
    a = torch.full((q,), 0.5, dtype=torch.float64)
    if q > 1:
        # A Vandermonde system of two or three unknowns, on the host.
        a = torch.linalg.solve(u ** torch.arange(q)[:, None], moments(h, q))
    return x0 + sum(w * (estimate - x0) for w, (_, estimate) in zip((a / u).tolist(), others, strict=True))


def moments(h: float, q: int) -> Tensor:
    """The mean of u^j over 0 <= u <= 1 under weights e^(h u), j = 1..q: (q,) float64.

    By parts: m_j = 1 / (1 - e^-h) - j m_{j - 1} / h, m_0 = 1.
    """
    means = [1.0]
    for j in range(1, q + 1):
        means.append(-1 / math.expm1(-h) - j * means[-1] / h)
    return torch.tensor(means[1:], dtype=torch.float64)
