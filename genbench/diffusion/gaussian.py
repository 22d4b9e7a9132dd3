"""The Gaussian process of denoising diffusion: xt = alpha x0 + sigma eps."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

import torch
from torch import Generator, Tensor, nn

from genbench.diffusion.binomial import ErasureSchedule
from genbench.diffusion.bound import prior_nats
from genbench.diffusion.density import Bound, Density, sampled_terms
from genbench.diffusion.guidance import Classifier, Guidance, GuidedProcess
from genbench.diffusion.objective import Case, Objective
from genbench.diffusion.parameterization import Parameterization
from genbench.diffusion.posterior import ReverseVariance
from genbench.diffusion.process import Known
from genbench.diffusion.sampler import Ancestral, Denoised, Denoiser, Sampler, noise_like
from genbench.diffusion.schedule import Schedule
from genbench.diffusion.times import Times
from genbench.diffusion.variance import BetaTilde, Fitted, Variance
from genbench.diffusion.weighting import TrueBound, Unweighted, Weighting
from genbench.probability.loss import Loss, weighted_mean
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["GaussianDiffusion"]

MOST_SIGNAL = 0.5
"""The largest alpha_bar_T of a schedule that ends in noise; those of the literature have 0.01 or less."""


class GaussianDiffusion(GuidedProcess):
    """xt = alpha x0 + sigma eps, reversed by a network: nine parts, each an object that can be exchanged.

    loss = E_{t, eps} objective(network's answer at xt, its target).
    schedule: alpha_bar at each step. parameterization: the quantity that the network predicts.
    objective, weighting: the loss of each image, and its weight at each level of noise.
    variance: of the reverse step, for likelihoods and ancestral sampling. times: the distribution of t in
    training. sampler: from noise to images. guidance: towards a class. density: the method for log p(x).
    Raises ValueError on compositions in which a part has no effect or no meaning (see check).
    Source: Ho et al. 2020.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        parameterization: Parameterization,
        objective: Objective,
        weighting: Weighting,
        variance: Variance,
        times: Times,
        sampler: Sampler,
        guidance: Guidance,
        density: Density,
    ) -> None:
        super().__init__()
        self.schedule, self.times, self.guidance = schedule, times, guidance
        self.parameterization, self.objective, self.weighting = parameterization, objective, weighting
        self.variance, self.sampler, self.density = variance, sampler, density
        self.phases = ("net", *guidance.phases)
        self.bound, self.discretized = density.bound, density.discretized
        self.check()
        self.method = density.method(schedule)

    def check(self) -> None:
        """Raise ValueError on compositions that have no meaning, each with a remedy.

        Called when the process is built, so that nothing is trained in vain.
        """
        if isinstance(self.schedule, ErasureSchedule):
            raise ValueError(
                "schedule=erasure belongs to process=binomial, which erases pixels; process=gaussian adds "
                "noise: use schedule=cosine or another"
            )
        self.times.check(self.schedule)
        self.variance.check(self.schedule)
        self.density.check(self.schedule)
        self.sampler.times(self.schedule)  # raises where the sampler has more steps than the grid
        self.check_objective()
        self.check_variance()
        self.check_last_step()

    def check_objective(self) -> None:
        """Raise ValueError where the loss does not train a part that learns, or a part has no effect on it.

        The parts are the variance, the weighting, the times and the schedule.
        """
        objective, learned = type(self.objective).__name__.lower(), self.variance.answers > 1
        if self.objective.learns_variance and not self.times.unbiased:
            raise ValueError(
                f"loss={objective} is a sum over all steps, and these times draw some more often without "
                "weighting them less: use times=stratified or times=importance"
            )
        if learned and not self.objective.learns_variance:
            raise ValueError(
                f"variance=learned gets no gradient from loss={objective}: use loss=hybrid or loss=vlb, or "
                "variance=fitted, which is fitted after training"
            )
        if self.objective.wants_variance and not learned:
            raise ValueError(
                f"loss={objective} adds the bound to train a variance, and the network answers none: use "
                "variance=learned, or loss=l2 with variance=fitted, which is fitted after training"
            )
        if not self.objective.weighted and not isinstance(self.weighting, Unweighted):
            raise ValueError(
                f"loss={objective} is the bound, whose steps have their own weights: use weighting=none"
            )
        if any(True for _ in self.schedule.parameters()) and self.objective.weighted:
            raise ValueError(
                f"schedule=learned needs the bound to learn from, and loss={objective} would drive it to the "
                "easiest levels of noise: use loss=vlb"
            )

    def check_variance(self) -> None:
        """Raise ValueError where the variance does not fit the sampler or the weighting.

        A fitted variance assumes the clipping of the bound; weighting=bound assumes the posterior's variance.
        """
        clips, bounds = self.sampler.clip_x0, self.step_bound().clip_x0
        samples_fitted = isinstance(self.variance, Fitted) and self.variance.samples
        if samples_fitted and isinstance(self.sampler, Ancestral) and clips != bounds:
            raise ValueError(
                f"variance.samples=true draws with the variance that is fitted for the bound, and "
                f"density.clip_x0 is {bounds} while sampler.clip_x0 is {clips}: set both to the same value "
                "(density.clip_x0 is a key of density=bound, and true elsewhere)"
            )
        # A fitted variance is the posterior's while the network is trained.
        if isinstance(self.weighting, TrueBound) and not isinstance(self.variance, BetaTilde | Fitted):
            raise ValueError(
                "weighting=bound assumes the posterior's variance: use variance=posterior, or "
                "variance=fitted, which is the posterior's until the network is trained"
            )

    def check_last_step(self) -> None:
        """Raise ValueError where sampling divides by the signal at t = 1 and there is none, and where most of
        it is left, so that sampling cannot start from noise alone.
        """
        ends = torch.tensor([1, 1 - 1 / self.schedule.T], dtype=torch.float64)
        last, before = self.schedule.alpha_bar(ends).detach()
        if float(last) > MOST_SIGNAL:
            raise ValueError(
                f"at t = 1 this schedule leaves {float(last):.3g} of the signal's variance, and sampling "
                f"starts from pure noise; at most {MOST_SIGNAL} may be left: set more noise in schedule.*"
            )
        if not bool(self.parameterization.gain_of_step(last, before).isfinite()):
            raise ValueError(
                "at t = 1 this schedule leaves no signal, so that x0 does not follow from what the network "
                "predicts: use parameterization=v or x0"
            )
        if isinstance(self.guidance, Classifier) and float(last) == 0:
            raise ValueError(
                "guidance=classifier divides by the signal at t = 1, and this schedule leaves none: use "
                "another schedule, or guidance=classifier_free"
            )

    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        # Times first, then noise: the order of draws that recorded runs were made with.
        t, weight = self.times(len(x0), self.schedule, x0.device)
        at, eps = self.parameterization.level(self.schedule, t), global_batch.normal_like(x0)
        xt = at.alpha * x0 + at.sigma * eps
        # The classifier's own phase: the same noised images, and no pass of the network.
        if isinstance(self.guidance, Classifier) and phase in self.guidance.phases:
            terms = self.guidance.loss(xt, t, y)
        else:
            output, variance = self.answer(network, xt, t, self.guidance.labels(y))
            target = self.parameterization.target(x0, eps, at)
            scale = self.weighting.scale(t, self.schedule, self.parameterization)
            case = Case(
                x0=x0,
                xt=xt,
                t=t,
                target=target if scale is None else scale * target,
                output=output if scale is None else scale * output,
                x0_hat=self.parameterization.to_x0(output.float(), xt, at),
                variance=variance,
                weight=self.weighting(t, self.schedule, self.parameterization),
            )
            terms = self.objective.terms(case, self.schedule)
            # Importance sampling learns from the losses without their weights.
            self.times.update(t, cast("Tensor", sum(terms.values())))
        return weighted_mean(terms, weight)

    def check_replayable(self) -> None:
        """Accept all settings: times, levels of noise and weights are looked up on the device."""

    def answer(
        self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning
    ) -> tuple[Tensor, ReverseVariance]:
        """Return the network's answer at xt (B, C, H, W) and t (B,), and the variance of its reverse step.

        The answer is in the parameterization's terms. Raises ValueError where it has the wrong channels.
        """
        at = self.parameterization.level(self.schedule, t)
        inputs = self.parameterization.network_input(xt, at)
        # Networks take t in float32; schedules have looked it up in float64 before.
        output = network(inputs, t.float(), y)
        wanted = self.variance.answers * xt.shape[1]
        if output.shape[1] != wanted:
            raise ValueError(
                f"the network answers {output.shape[1]} channels for images of {xt.shape[1]}; with this "
                f"variance it must answer {wanted}: set network.answers={self.variance.answers}"
            )
        image, variance = self.variance.split(output, t)
        return self.parameterization.answer(image, xt, at), variance

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        super().check_network(network, x0, y)
        self.answer(network, x0, torch.ones(len(x0), dtype=torch.float64), y)

    def denoise(self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        output, variance = self.answer(network, xt, t, y)
        at = self.parameterization.level(self.schedule, t)
        return Denoised(self.parameterization.to_x0(output.float(), xt, at), variance)

    def fit(self, network: nn.Module, batches: Iterable[tuple[Tensor, Conditioning]]) -> None:
        # Without guidance, for the images' own labels; clipped where the likelihood's bound clips, whatever
        # the sampler does, so that no setting of sampling changes the likelihood. Where samples are drawn
        # with the variance too, `check_variance` demands that both clip alike.
        bound = self.step_bound()

        def denoise(xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
            return bound.bounded(self.denoise(network, xt, t, y))

        self.variance.fit(denoise, self.schedule, batches)

    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        return global_batch.normal(n, shape, rng=rng, device=self.schedule.grid.device)

    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        # The first time of the sampler's own path, which is `start` rounded to its grid.
        at = self.schedule.level(self.sampler.times(self.schedule, start)[:1])
        return at.alpha * x0 + at.sigma * noise_like(x0, rng)

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
        def guided(xt: Tensor, t: Tensor) -> Denoised:
            now = float(t[0])  # t is on the host, so that reading it waits for no device
            t = xt.new_full((len(xt),), now, dtype=torch.float64)
            guidance, at = self.guidance.at(now), self.schedule.level(t)
            estimate = guidance.guide(partial(self.denoise, network), xt, t, y, at)
            # Given pixels replace the estimate at every step, after guidance.
            x0 = estimate.x0 if known is None else known.within(estimate.x0)
            return Denoised(x0, self.variance.for_sampling(estimate.variance))

        return self.sampler.path(guided, self.schedule, x, rng, start=start)

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        return self.schedule.levels()

    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        eps = noise_like(x0, rng)
        levels = [self.schedule.level(t[None]) for t in self.schedule.frame_times(frames)]
        return torch.stack([at.alpha * x0 + at.sigma * eps for at in levels])

    def log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        return self.density.log_prob(self.denoiser(network, y), self.schedule, x0)

    def refined_log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        return self.density.refined_log_prob(self.denoiser(network, y), self.schedule, x0)

    def bound_terms(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Iterator[Tensor]:
        bound = self.step_bound()
        for t in sampled_terms(len(x0), self.schedule, x0.device, terms=None).t:
            yield bound.term(self.denoiser(network, y), self.schedule, x0, t)
        yield prior_nats(x0, self.schedule)

    def step_bound(self) -> Bound:
        """Return the bound whose terms are shown and that a variance is fitted for.

        It is the density itself where that is a bound, else the default one.
        """
        return self.density if isinstance(self.density, Bound) else Bound()

    def denoiser(self, network: nn.Module, y: Conditioning) -> Denoiser:
        """Return the model as a function of xt and t alone, for labels y (B,)."""
        return lambda xt, t: self.denoise(network, xt, t, y)

    def check_unbounded(self) -> None:
        if self.sampler.clip_x0:
            raise ValueError(
                "sampler.clip_x0=true clips samples to [-1, 1], the range of images and not of latents: set "
                "sampler.clip_x0=false, or use sampler=ddim_unclipped"
            )
        if self.objective.learns_variance:
            raise ValueError(
                f"loss={type(self.objective).__name__.lower()} counts the bits of 8-bit images, "
                "which latents are not: use loss=l2, l1 or huber"
            )
