"""Samplers by Langevin dynamics: steps along the score at one level of noise, with noise of their own.

score = grad log p(xt) = (alpha x0_hat - xt) / sigma^2, that of the denoiser. The sources state their steps in
x0 + s eps for a variance-exploding process (VE) and in xt for a variance-preserving one (VP). States here are
xt in both, which is the former over sqrt(1 + s^2); Step.exploding says in which of the two a step is stated.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from torch import Generator, Tensor

from genbench.diffusion.sampler import Sampler, StepDenoiser, noise_like
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.spacing import Spacing, UniformSpacing
from genbench.diffusion.variance_exploding import VarianceExplodingSchedule
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.runtime import global_batch

__all__ = [
    "Langevin",
    "LangevinSampler",
    "PredictorCorrector",
    "Step",
    "langevin_step",
    "reverse_diffusion",
]


class Step(NamedTuple):
    """A step from a time t to the next one, s < t, of a sampler."""

    alpha_bar_t: Tensor
    """Share of the data's variance at t, where the step begins: () float64."""
    alpha_bar_s: Tensor
    """Share of the data's variance at s, where the step ends: () float64."""
    exploding: bool
    """True where the source states the step in x0 + s eps (VE), False where in xt (VP)."""

    @property
    def beta(self) -> Tensor:
        """1 - alpha_bar_t / alpha_bar_s, the variance that the forward step from s to t adds: () float64."""
        return 1 - self.alpha_bar_t / self.alpha_bar_s


class LangevinSampler(Sampler):
    """A sampler with corrector_steps steps of Langevin dynamics at each time of its walk; abstract.

    snr: r, the ratio of the noise of a Langevin step to its drift, which sets the step's size (see
    langevin_step). The source has 0.16 for a thousand times; on fewer, steps must be larger.
    The last state is x0_hat at the least noisy time, without the noise that is left there, as the source has
    it. A subclass states the way to the next time.
    Raises ValueError unless corrector_steps is at least `least`, and 0 < snr < 1.
    """

    least = 0
    """The smallest number of Langevin steps at a time."""

    def __init__(
        self, steps: int, *, corrector_steps: int, snr: float, clip_x0: bool, spacing: Spacing | None
    ) -> None:
        super().__init__(steps, clip_x0=clip_x0, spacing=spacing or UniformSpacing())
        check_count("sampler.corrector_steps", corrector_steps, MOST_PASSES, least=self.least, usual=1)
        if not 0 < snr < 1:
            raise ValueError(f"sampler.snr is {snr}; it must be above 0 and below 1, e.g. 0.6")
        self.corrector_steps, self.snr = corrector_steps, snr

    def walk(
        self, denoise: StepDenoiser, schedule: Schedule, times: Tensor, x: Tensor, rng: Generator | None
    ) -> Iterator[Tensor]:
        alpha_bar, exploding = schedule.alpha_bar(times), isinstance(schedule, VarianceExplodingSchedule)
        last = len(times) - 2
        for k in range(last + 1):
            step = Step(alpha_bar[k], alpha_bar[k + 1], exploding)
            for _ in range(self.corrector_steps):
                x = langevin_step(x, denoise(x, k).x0, step, self.snr, rng)
            # Of the last step no noise is left, and the score is not defined.
            x = self.to_next(x, denoise, k, step, rng) if k < last else denoise(x, k).x0
            yield x

    @abstractmethod
    def to_next(self, xt: Tensor, denoise: StepDenoiser, k: int, step: Step, rng: Generator | None) -> Tensor:
        """Return the state at the end of the step from the k-th time, where xt is: (B, C, H, W) both."""


class Langevin(LangevinSampler):
    """Annealed Langevin dynamics: corrector_steps at each of `steps` levels, the state carried to the next.

    steps * corrector_steps + 1 passes. What is carried is x0 + s eps (VE) or xt (VP), unchanged.
    Source: Song & Ermon 2019, Algorithm 1, with a step of the size of Song et al. 2021 (see langevin_step) in
    place of one proportional to s^2. The two agree where |score| is sqrt(D) / s.
    """

    least = 1

    def __init__(
        self,
        steps: int = 20,
        *,
        corrector_steps: int = 5,
        snr: float = 0.8,
        clip_x0: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        super().__init__(steps, corrector_steps=corrector_steps, snr=snr, clip_x0=clip_x0, spacing=spacing)

    def to_next(self, xt: Tensor, denoise: StepDenoiser, k: int, step: Step, rng: Generator | None) -> Tensor:
        return xt / (1 - step.beta).sqrt().to(xt.dtype) if step.exploding else xt


class PredictorCorrector(LangevinSampler):
    """Steps of the reverse diffusion, each after corrector_steps of Langevin dynamics at its first time.

    steps * (corrector_steps + 1) passes. corrector_steps = 0 is the predictor alone.
    Source: Song et al. 2021 (score SDE), Algorithms 2 to 5 of Appendix G, in the order of the authors' code:
    the corrector comes before the predictor.
    """

    def __init__(
        self,
        steps: int = 50,
        *,
        corrector_steps: int = 1,
        snr: float = 0.6,
        clip_x0: bool = True,
        spacing: Spacing | None = None,
    ) -> None:
        super().__init__(steps, corrector_steps=corrector_steps, snr=snr, clip_x0=clip_x0, spacing=spacing)

    def to_next(self, xt: Tensor, denoise: StepDenoiser, k: int, step: Step, rng: Generator | None) -> Tensor:
        return reverse_diffusion(xt, denoise(xt, k).x0, step, rng)


def score(xt: Tensor, x0: Tensor, alpha_bar: Tensor) -> Tensor:
    """grad log p(xt) = (alpha x0_hat - xt) / sigma^2: xt and x0_hat (B, C, H, W) -> (B, C, H, W)."""
    return (alpha_bar.sqrt().to(xt.dtype) * x0 - xt) / (1 - alpha_bar).to(xt.dtype)


def langevin_step(xt: Tensor, x0: Tensor, step: Step, snr: float, rng: Generator | None) -> Tensor:
    """xt + e score + sqrt(2 e) z, e = 2 a (r |z| / |score|)^2, z ~ N(0, I): xt, x0_hat (B, C, H, W), snr r.

    a = 1 - beta (VP) or 1 (VE). The norms are means over the batch, as in the authors' code, so that a sample
    depends a little on its batch. Of N(m, v) the stationary distribution is N(m, v (1 + a r^2)).
    |score| is taken to be |z| / 2 at least: it is |z| and more where xt has a variance of at most 1, as of
    images in [-1, 1], and a network that does not know the score yet must not lead to infinity.
    Source: Song et al. 2021 (score SDE), Algorithms 4 and 5. The bound is not theirs.
    """
    drift, z = score(xt, x0, step.alpha_bar_t), noise_like(xt, rng)
    # In x0 + s eps the score is alpha times, and the step 1 / alpha^2 times that of xt: the rule is the same.
    length = mean_norm(z)
    size = 2 * (snr * length / mean_norm(drift).maximum(length / 2)).square()
    if not step.exploding:
        size = size * (1 - step.beta).to(xt.dtype)
    return xt + size * drift + (2 * size).sqrt() * z


def mean_norm(x: Tensor) -> Tensor:
    """The mean Euclidean norm of the rows of a batch, over all processes that hold a part of it: (B, C, H, W)
    -> ().
    """
    return global_batch.mean(x.flatten(1).square().sum(1).sqrt().mean())


def reverse_diffusion(xt: Tensor, x0: Tensor, step: Step, rng: Generator | None) -> Tensor:
    """x_s = (2 - sqrt(1 - beta)) xt + beta score + sqrt(beta) z (VP); (xt + beta score + sqrt(beta) z) /
    sqrt(1 - beta) (VE), which is y + (s_t^2 - s_s^2) score_y + sqrt(s_t^2 - s_s^2) z of y = x0 + s eps.

    Each is the forward step's discretization, reversed. xt, x0_hat (B, C, H, W) -> (B, C, H, W).
    Source: Song et al. 2021 (score SDE), Eq. 46 to 48.
    """
    beta = step.beta
    root = (1 - beta).sqrt().to(xt.dtype)
    moved = beta.to(xt.dtype) * score(xt, x0, step.alpha_bar_t)
    moved = moved + beta.sqrt().to(xt.dtype) * noise_like(xt, rng)
    return (xt + moved) / root if step.exploding else (2 - root) * xt + moved
