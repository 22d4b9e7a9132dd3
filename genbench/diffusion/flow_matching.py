"""Flow matching: straight paths from noise to data, and a network that learns their velocity."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Generator, Tensor, nn

from genbench.diffusion.guidance import Classifier, Guidance, GuidedProcess
from genbench.diffusion.ode import Solver
from genbench.diffusion.pairing import Independent, Pairing
from genbench.diffusion.path_times import PathTimes
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.process import Known, Process
from genbench.diffusion.sampler import Denoised, noise_like
from genbench.diffusion.schedule import Level
from genbench.diffusion.start import check_start
from genbench.diffusion.volume_change import Divergence, dequantized, flow_to_noise
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.probability.gaussian import standard_normal_nats
from genbench.probability.loss import Loss
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning

__all__ = ["FlowMatching", "Straight", "check_answer", "straight_level"]

NO_VARIANCE = Interpolated(torch.zeros(()))  # the flow draws no noise, so that no step has a variance


class Straight(Process):
    """Straight paths xt = (1 - t) x0 + t eps; abstract: flow matching, mean flows and consistency training
    learn them.

    t = 0 is data, as everywhere here; the papers' time is often 1 - t. The network answers one image.
    Source: Liu et al. 2023 (rectified flow), Eq. 1; Lipman et al. 2023, Eq. 22 with sigma_min = 0.
    """

    here: Tensor

    def __init__(self) -> None:
        super().__init__()
        # A process without parameters or tables learns of its device by this buffer alone.
        self.register_buffer("here", torch.zeros(()), persistent=False)

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        check_answer(network(x0, torch.ones(len(x0)), y), x0)

    def noise(self, n: int, shape: tuple[int, int, int], rng: Generator | None) -> Tensor:
        return global_batch.normal(n, shape, rng=rng, device=self.here.device)

    def noised(self, x0: Tensor, start: float, rng: Generator | None) -> Tensor:
        check_start(start)
        return (1 - start) * x0 + start * noise_like(x0, rng)

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        t = torch.linspace(0, 1, 101, dtype=torch.float64)
        # Straight paths do not preserve variance: alpha^2 / (alpha^2 + sigma^2) compares with a schedule's.
        return t, (1 - t).square() / ((1 - t).square() + t.square())

    def forward_states(self, x0: Tensor, rng: Generator | None, *, frames: int) -> Tensor:
        eps = noise_like(x0, rng)
        return torch.stack([(1 - t) * x0 + t * eps for t in torch.linspace(0, 1, frames).tolist()])


class FlowMatching(Straight, GuidedProcess):
    """xt = (1 - t) x0 + t eps; the network learns the velocity x0 - eps, dx/dt = -velocity.

    loss = E |network(xt, t) - (x0 - eps)|^2, mean over D.
    coupling: which noise is paired with which image. times: the distribution of t in training.
    solver: of the ODE from noise to images. guidance: of samples; not by a classifier, for want of signal at
    t = 1. density_steps: of the Runge-Kutta method for log p(x), four passes forward and four backward each,
    by the change of volume along the flow (bound "estimate": one random direction for the divergence, one
    draw of uniform dequantization).
    Raises ValueError on density_steps below 1 and on guidance by a classifier.
    Source: Lipman et al. 2023, Eq. 23 with sigma_min = 0; Liu et al. 2023 (rectified flow), Eq. 1.
    """

    bound = "estimate"
    discretized = True

    def __init__(
        self,
        *,
        coupling: Pairing,
        times: PathTimes,
        solver: Solver,
        guidance: Guidance,
        density_steps: int = 16,
    ) -> None:
        super().__init__()
        if isinstance(guidance, Classifier):
            raise ValueError(
                "guidance=classifier divides by the signal at t = 1, and straight paths leave none: use "
                "guidance=classifier_free"
            )
        check_count("model.process.density_steps", density_steps, MOST_PASSES, usual=16)
        self.coupling, self.times, self.solver = coupling, times, solver
        self.guidance, self.density_steps = guidance, density_steps
        self.method = f"ode, {density_steps} rk4 steps"
        self.shares, self.phases = dict(coupling.shares), tuple(coupling.shares) or ("net",)

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        GuidedProcess.check_network(self, network, x0, y)
        Straight.check_network(self, network, x0, y)

    def denoise(self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        # x0_hat = xt + t velocity.
        answer = network(xt, t.float(), y).float()
        return Denoised(xt + straight_level(t).sigma * answer, NO_VARIANCE)

    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        t = self.times.draw(len(x0), x0.device)
        # The order of draws is fixed, t, eps, labels: a seed gives the same batch in every version.
        eps, y = global_batch.normal_like(x0), self.guidance.labels(y)
        x0, eps = self.coupling.pairs(x0, eps, network=network, y=y, phase=phase)
        at = straight_level(t)
        xt = at.alpha * x0 + at.sigma * eps
        velocity = network(xt, t.float(), y).float()
        total = (velocity - (x0 - eps)).square().mean()
        return Loss(total, {"velocity": total.detach()})

    def check_augmentation(self) -> None:
        if why := self.coupling.why_unaugmented:
            raise ValueError(f"{why}: use augmentation=none, or pairing=independent")

    def check_replayable(self) -> None:
        if not isinstance(self.coupling, Independent):
            raise ValueError(
                "trainer.cuda_graphs records what a GPU does, and this pairing computes on the host or draws "
                "samples within a step: use pairing=independent, or trainer.cuda_graphs=false"
            )

    def adopt(self, network: nn.Module) -> None:
        self.coupling.adopt(network)

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
        # Guidance and given pixels act on estimates of x0, from which the velocity follows.
        labelled = partial(self.denoise, network)

        def velocity(xt: Tensor, t: Tensor) -> Tensor:
            now = float(t)  # t is on the host
            times = xt.new_full((len(xt),), now, dtype=torch.float64)
            estimate = self.guidance.at(now).guide(labelled, xt, times, y, straight_level(times))
            x0 = estimate.x0 if known is None else known.within(estimate.x0)
            return (x0 - xt) / straight_level(times).sigma

        return self.solver.walk(velocity, x, start)

    def log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        return self.integrated_log_prob(network, x0, y, steps=self.density_steps)

    def refined_log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning) -> Tensor:
        return self.integrated_log_prob(network, x0, y, steps=2 * self.density_steps)

    def integrated_log_prob(self, network: nn.Module, x0: Tensor, y: Conditioning, *, steps: int) -> Tensor:
        """log p(x_0) = log N(x_1) - int_0^1 div velocity dt along dx/dt = -velocity, (B,) nats.

        Draws a random direction and the dequantization noise first, whatever the number of steps.
        """
        field = Divergence(lambda x, t: network(x, t.expand(len(x)).float(), y).float(), x0)
        x, width = dequantized(x0)
        noise, volume = flow_to_noise(field, x, steps=steps)
        return (x0[0].numel() * math.log(width) - volume - standard_normal_nats(noise)).float()


def check_answer(answer: Tensor, x0: Tensor) -> None:
    """Raise ValueError unless a network's answer has the shape of its images x0 (B, C, H, W)."""
    if answer.shape != x0.shape:
        raise ValueError(
            f"the network answers {tuple(answer.shape)} for images of {tuple(x0.shape)}; both must be equal: "
            "set network.answers=1"
        )


def straight_level(t: Tensor) -> Level:
    """Signal alpha = 1 - t and noise sigma = t of straight paths at times t (B,).

    (B, 1, 1, 1) float32 each. Here alpha^2 + sigma^2 is not 1, unlike on a schedule.
    """
    t = t[:, None, None, None]
    return Level((1 - t).float(), t.float())
