"""Laws of data whose denoiser and flow are known, and what samplers make of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.sampler import Denoised, Denoiser, Sampler
from genbench.diffusion.schedule import FixedSchedule, Schedule


def given(x0: Tensor, v: float = 0.0) -> Denoised:
    return Denoised(x0, Interpolated(torch.tensor(v, dtype=torch.float64)))


class Mixture(NamedTuple):
    """Pixels that are independent draws from sum_i weights_i N(means_i, stds_i^2)."""

    weights: Sequence[float]
    means: Sequence[float]
    stds: Sequence[float]

    def noised(self, alpha_bar: float) -> "Mixture":
        """The law of xt."""
        means = [alpha_bar**0.5 * m for m in self.means]
        return Mixture(self.weights, means, [(alpha_bar * s**2 + 1 - alpha_bar) ** 0.5 for s in self.stds])

    def cdf(self, x: Tensor) -> Tensor:
        return sum(w * torch.special.ndtr((x - m) / s) for w, m, s in zip(*self, strict=True))

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """(n, 1, 1, 1) float64."""
        of = torch.multinomial(torch.tensor(self.weights), n, replacement=True, generator=rng)
        means, stds = torch.tensor(self.means).double()[of], torch.tensor(self.stds).double()[of]
        return (means + stds * torch.randn(n, generator=rng).double())[:, None, None, None]

    def denoiser(self, schedule: Schedule, v: float = 0.0) -> Denoiser:
        """E[x0 | xt] = sum_i p(i | xt) (m_i + alpha s_i^2 (xt - alpha m_i) / (alpha^2 s_i^2 + sigma^2))."""
        w, m, s = (torch.tensor(part, dtype=torch.float64)[:, None, None, None, None] for part in self)

        def denoise(xt: Tensor, t: Tensor) -> Denoised:
            ab = schedule.alpha_bar(t)[:, None, None, None]
            gap, variance = xt.double() - ab.sqrt() * m, ab * s**2 + 1 - ab
            share = torch.softmax(w.log() - variance.log() / 2 - gap**2 / variance / 2, dim=0)
            return given((share * (m + ab.sqrt() * s**2 * gap / variance)).sum(0).to(xt.dtype), v)

        return denoise

    def flowed(self, x: Tensor, alpha_bar: float) -> Tensor:
        """Return the end of the flow (ODE) from x: F_0^-1(F_t(x)), which keeps the order of points."""
        rank = self.noised(alpha_bar).cdf(x)
        low, high = torch.full_like(x, -9.0), torch.full_like(x, 9.0)
        for _ in range(60):  # bisection down to float64
            middle = (low + high) / 2
            below = self.cdf(middle) < rank
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return low


GAUSSIAN = Mixture([1.0], [0.3], [0.5])
TWO_HUMPS = Mixture([0.4, 0.6], [-0.6, 0.5], [0.3, 0.2])


class EvenLogSNR(FixedSchedule):
    """lambda in equal steps from `ends` at t = 1 / T to -`ends` at t = 1: where orders of solvers show."""

    def __init__(self, T: int, ends: float) -> None:
        self.ends = ends
        super().__init__(T)

    def betas(self) -> Tensor:
        lam = torch.linspace(self.ends, -self.ends, self.T, dtype=torch.float64)
        alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), torch.sigmoid(2 * lam)])
        return 1 - alpha_bar[1:] / alpha_bar[:-1]


def normal_quantiles(n: int) -> Tensor:
    """The middles of n equal shares of N(0, 1), scaled to its variance: (n, 1, 1, 1) float64."""
    z = torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    return (z / z.std(correction=0))[:, None, None, None]


def noise(n: int, *, seed: int = 0) -> tuple[Tensor, torch.Generator]:
    """Pure noise (n, 1, 1, 1) float64, and the generator that goes on after it."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 1, 1, generator=rng, dtype=torch.float64), rng


def samples(sampler: Sampler, schedule: Schedule, law: Mixture, *, v: float = 0.0, n: int) -> Tensor:
    """n samples with the law's exact denoiser: (n,)."""
    x, rng = noise(n)
    *_, x = sampler.path(law.denoiser(schedule, v), schedule, x, rng)
    return x.flatten()


def flow_error(sampler: Sampler, schedule: Schedule, law: Mixture) -> float:
    """The largest distance between a sampler's answers and the ODE's, over 41 starts in [-2, 2]."""
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None, None, None]
    *_, y = sampler.path(law.denoiser(schedule), schedule, x, None)
    return float((y - law.flowed(x, float(schedule.alpha_bar(torch.ones(1))))).abs().max())


def check_law(x: Tensor, law: Mixture) -> None:
    """Hold samples to a law: mean and deviation within five standard errors, and Kolmogorov-Smirnov."""
    mean = sum(w * m for w, m, _ in zip(*law, strict=True))
    std = sum(w * (m**2 + s**2) for w, m, s in zip(*law, strict=True)) - mean**2
    std, n = std**0.5, len(x)
    assert float(x.mean()) == pytest.approx(mean, abs=5 * std / n**0.5)
    assert float(x.std()) == pytest.approx(std, abs=5 * std / (2 * n) ** 0.5)
    # A false alarm under 1e-6 with a fixed seed
    assert stats.kstest(x.numpy(), lambda at: law.cdf(torch.as_tensor(at)).numpy()).pvalue > 1e-6


def counted(denoise: Denoiser, seen: list[float]) -> Denoiser:
    """The same denoiser, which writes down the times that it is asked for."""

    def asked(xt: Tensor, t: Tensor) -> Denoised:
        seen.append(float(t[0]))
        return denoise(xt, t)

    return asked


@contextmanager
def counted_reads() -> Iterator[list[str]]:
    """The operations that wait for a device to tell a value."""
    reads: list[str] = []

    class Reads(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
                reads.append(str(func))
            return func(*args, **(kwargs or {}))

    with Reads():
        yield reads


def orders(errors: Iterable[float]) -> list[float]:
    """log2 of the ratios of neighbouring errors: the order that shows when steps double."""
    log = torch.tensor(list(errors), dtype=torch.float64).log2()
    return (log[:-1] - log[1:]).tolist()
