"""A cascade: a model of small images, and a diffusion that enlarges them (super-resolution)."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from genbench.diffusion.autoguidance import AutoGuidance
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.diffusion.guidance import Classifier
from genbench.diffusion.low_resolution import Condition, Conditioned, LowResolution, eight_bit
from genbench.generator import (
    FitsAfterTraining,
    ForwardProcess,
    Generator,
    Likelihood,
    Loss,
    Rng,
    Stage,
    Trajectory,
    Y,
    check_frames,
    frame_indices,
)
from genbench.text.legal import labels_of

__all__ = ["Cascade", "LikelihoodCascade", "cascade"]

OF_BASE = "base_"
"""The beginning of the names of the base's phases: base_net, base_disc."""


class Cascade(Trajectory, ForwardProcess, FitsAfterTraining, Generator):
    """x ~ p(x | condition(low)), low ~ p(low): a base model of small images, then a diffusion of large ones.

    base: a model of images (C, H / f, W / f) with the same classes, trained for `share` of the budget on
    condition.low(x); one that was trained before (its weights frozen) leaves the budget to the second stage.
    network: called here, network(shape=(C, H, W), inputs=2); it sees the enlarged small images beside xt.
    process: of the second stage; its networks and samples know nothing of the base but its images.
    condition: the small images, and the noise at which the second stage sees them.
    Raises ValueError on a factor that does not divide the sides, a share that leaves a stage nothing, a base
    of other images, of other classes or of texts, and guidance by a classifier.
    Source: Ho et al. 2022, Sections 3 and 4; Saharia et al. 2022, Section 2.3.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        base: Generator,
        network: Callable[..., nn.Module],
        process: GaussianDiffusion,
        condition: LowResolution,
        share: float = 0.3,
    ) -> None:
        super().__init__(shape, num_classes)
        small = condition.shape(self.shape)
        if not 0 < share < 1:
            raise ValueError(f"model.share is {share}; it must be between 0 and 1, e.g. 0.3")
        if base.shape != small or base.num_classes != num_classes:
            raise ValueError(
                f"the base model has shape {base.shape} and {base.num_classes} classes; "
                f"model.condition.factor={condition.factor} needs {small} and {num_classes}: take a run of "
                "the same images at that size, with the same `conditional`"
            )
        if base.takes_text:
            raise ValueError(
                f"the base model is a {type(base).__name__} of texts, and a cascade takes none: take a run "
                "with text=none"
            )
        if any(isinstance(part, Classifier | AutoGuidance) for part in process.modules()):
            raise ValueError(
                "guidance=classifier and guidance=auto know images of one size, and a cascade has two: use "
                "guidance=classifier_free"
            )
        self.base, self.low_resolution = base, condition
        self.network, self.process = network(shape=self.shape, inputs=2), process
        # Weights that take no gradient: a run that was trained before.
        self.frozen = not any(p.requires_grad for p in base.parameters())
        self.share = 0.0 if self.frozen else share  # of the budget, for the base
        self.phases, self.period = process.phases, base.period
        if not self.frozen:
            early = base.stages or (Stage(1.0, base.phases),)
            self.stages = (
                *(Stage(share * stage.share, named(stage.phases)) for stage in early),
                Stage(1 - share, process.phases),
            )
            self.phases = (*named(base.phases), *process.phases)
        with torch.no_grad():
            x, y = self.example()
            clean = Condition(x, torch.zeros(1))
            process.check_network(Conditioned(self.network.eval(), clean), x, labels_of(y))
        self.network.train()
        self.settle()

    def settle(self) -> None:
        """Set attributes that follow from the kinds of both stages, once they are there: by default none."""

    def networks(self) -> list[nn.Module]:
        return [*self.base.networks(), self.network, *self.process.networks()]

    def autocast_networks(self) -> list[nn.Module]:
        return [*self.base.autocast_networks(), self.network, *self.process.networks()]

    def phase_parameters(self, phase: str) -> list[nn.Parameter]:
        self.check_phase(phase)
        if phase.startswith(OF_BASE):
            return self.base.phase_parameters(phase.removeprefix(OF_BASE))
        # A learned schedule's parameters, too, are trained with the network.
        return [*self.network.parameters(), *self.process.parameters()]

    def check_trainable(self) -> None:
        if not self.frozen:
            self.base.check_trainable()

    def check_budget(self, images: int) -> None:
        if not self.frozen:
            self.base.check_budget(round(self.share * images))
        self.process.check_budget(round((1 - self.share) * images))

    def begin_step(self, spent: float) -> None:
        """Pass each stage the share of its own part of the budget that is spent: 0 before it, 1 after it."""
        if not self.frozen:
            self.base.begin_step(min(spent / self.share, 1.0))
        self.process.begin_step(max(spent - self.share, 0.0) / (1 - self.share))

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        if phase.startswith(OF_BASE):
            small, phase = self.low_resolution.low(x), phase.removeprefix(OF_BASE)
            self.base.prepare(small, y, phase=phase, step=step)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        small = self.low_resolution.low(x)
        if phase.startswith(OF_BASE):
            return self.base.loss(small, y, phase=phase.removeprefix(OF_BASE), step=step)
        network = Conditioned(self.network, self.low_resolution.in_training(small))
        return self.process.losses(network, x, labels_of(y), phase=phase)

    def fit(self, batches: Iterable[tuple[Tensor, Y]]) -> None:
        """Fit the numbers of both stages that follow from trained weights, each to images as it sees them.

        The second stage is fitted at the augmentation of sampling. batches: images (B, C, H, W) with labels;
        a stage without such numbers reads none.
        """
        if isinstance(self.base, FitsAfterTraining) and not self.frozen:
            small_too, batches = itertools.tee(batches)
            self.base.fit((self.low_resolution.low(x), y) for x, y in small_too)
            del small_too  # else all that it has not read would remain in memory
        network = Conditioned(self.network, Condition(torch.empty(0), torch.empty(0)))

        def each() -> Iterator[tuple[Tensor, Tensor | None]]:
            for x, y in batches:
                network.condition = self.low_resolution.in_sampling(self.low_resolution.low(x))
                yield x, labels_of(y)

        self.process.fit(network, each())

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        *_, x = self.enlarging(self.base.sample(n, y, rng=rng), y, rng)
        return x

    @torch.no_grad()
    def trajectory(self, n: int, y: Y = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        """Draw samples, and return states on the way: (frames, n, C, H, W).

        The first half are the base's, enlarged, where it has a trajectory and there are four frames or more;
        the others are those of the second stage. Raises ValueError on fewer than two frames.
        """
        check_frames(frames)
        self.check_labels(y, n)
        shown = list[Tensor]()
        if isinstance(self.base, Trajectory) and frames >= 4:
            shown = list(self.base.trajectory(n, y, rng=rng, frames=frames // 2))
        small = shown[-1] if shown else self.base.sample(n, y, rng=rng)
        states = list(self.enlarging(small, y, rng))
        late = [states[k] for k in frame_indices(len(states), frames - len(shown))]
        return torch.stack([*map(self.low_resolution.enlarged, shown), *late])

    def states(self, n: int, y: Y = None, rng: Rng | None = None) -> Iterator[Tensor]:
        """Yield the states of the base, enlarged, where it draws step by step, then those of the second
        stage: (n, C, H, W) each."""
        self.check_labels(y, n)
        small = None
        if isinstance(self.base, Trajectory):
            for small in self.base.states(n, y, rng):
                yield self.low_resolution.enlarged(small)
        yield from self.enlarging(self.base.sample(n, y, rng=rng) if small is None else small, y, rng)

    def enlarging(self, small: Tensor, y: Y, rng: Rng | None) -> Iterator[Tensor]:
        """Yield pure noise, then each state of the second stage on the way to images: (n, C, H, W) each.

        small: samples of the base (n, C, h, w), rounded here to 8 bits as the small images of training are.
        """
        network = Conditioned(self.network, self.low_resolution.in_sampling(eight_bit(small), rng))
        x = self.process.noise(len(small), self.shape, rng)
        yield x
        yield from self.process.path(network, x, labels_of(y), rng)

    @torch.no_grad()
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        self.check_images(x)
        check_frames(frames)
        return self.process.forward_states(x, rng, frames=frames)

    @torch.no_grad()
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        return self.process.noise_levels()


class LikelihoodCascade(Cascade, Likelihood):
    """A cascade of two stages with likelihoods, whose sum bounds its own.

    log p(x) >= log p(low(x)) + E_eps log p(x | sqrt(1 - s^2) low(x) + s eps), s the augmentation of sampling:
    p(x) is a sum over all small images, of which low(x) is one, and Jensen's inequality takes the mean over
    eps out of the logarithm. Both stages model 8-bit images, since low is rounded. One draw of eps an image.
    bound: an estimate where that of a stage is one, else a lower bound. Raises ValueError as `Cascade` does.
    """

    def settle(self) -> None:
        low = self.likelihood_of_base()
        self.bound = "estimate" if "estimate" in (low.bound, self.process.bound) else "lower"
        self.method = f"{low.method} of the base + {self.process.method}"
        self.discretized = low.discretized or self.process.discretized

    def likelihood_of_base(self) -> Likelihood:
        """Return the base, which has a likelihood; its kind decides that of the cascade."""
        assert isinstance(self.base, Likelihood)
        return self.base

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        small = self.low_resolution.low(x)
        of_small = self.likelihood_of_base().log_prob(small, y)
        network = Conditioned(self.network, self.low_resolution.in_sampling(small))
        return of_small + self.process.log_prob(network, x, labels_of(y))

    def refined_log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        small = self.low_resolution.low(x)
        of_small = self.likelihood_of_base().refined_log_prob(small, y)
        network = Conditioned(self.network, self.low_resolution.in_sampling(small))
        return of_small + self.process.refined_log_prob(network, x, labels_of(y))


def cascade(
    shape: tuple[int, int, int],
    num_classes: int,
    *,
    base: Generator,
    network: Callable[..., nn.Module],
    process: GaussianDiffusion,
    condition: LowResolution,
    share: float = 0.3,
) -> Cascade:
    """Build a cascade, with a likelihood where the base has one; arguments and errors are those of `Cascade`.

    model=cascade of the configuration calls it, since the base is chosen there.
    """
    kind = LikelihoodCascade if isinstance(base, Likelihood) else Cascade
    return kind(
        shape,
        num_classes,
        base=base,
        network=network,
        process=process,
        condition=condition,
        share=share,
    )


def named(phases: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the base's phases in the cascade, in the same order."""
    return tuple(f"{OF_BASE}{phase}" for phase in phases)
