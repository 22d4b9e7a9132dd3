"""Flow matching: straight paths from noise to data, and a network that learns their velocity."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from scipy.optimize import linear_sum_assignment
from torch import Generator, Tensor, nn

from genbench.diffusion.divergence import Divergence, dequantized, flow_to_noise, normal_nats
from genbench.diffusion.guidance import Classifier, Guidance
from genbench.diffusion.ode import Solver
from genbench.diffusion.posterior import Interpolated
from genbench.diffusion.process import Known, LikelihoodProcess, Losses
from genbench.diffusion.sampler import Denoised
from genbench.diffusion.straight import Straight, level
from genbench.diffusion.times import lattice
from genbench.runtime import global_batch

__all__ = [
    "Coupling",
    "FlowMatching",
    "Independent",
    "LogitNormal",
    "OptimalTransport",
    "PathTimes",
    "Uniform",
]

NO_VARIANCE = Interpolated(torch.zeros(()))


class Coupling(nn.Module, ABC):
    """Which noise goes with which image."""

    shares: Mapping[str, float] = MappingProxyType({})
    """Of the budget, for phases that follow one another; none: there is one phase."""

    def adopt(self, network: nn.Module) -> None:
        """Make room for what is remembered of the network that learns the pairs; most remember nothing."""

    @abstractmethod
    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Tensor | None, phase: str
    ) -> tuple[Tensor, Tensor]:
        """Images and noise (B, C, H, W) as drawn -> images and the noise that goes with each.

        network: what learns from the pairs in this phase, with labels y (B,).
        """


class Independent(Coupling):
    """As they were drawn."""

    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Tensor | None, phase: str
    ) -> tuple[Tensor, Tensor]:
        return x0, eps


class OptimalTransport(Coupling):
    """The order that makes the sum of |x0 - eps|^2 over the batch least, by linear assignment on the host.

    Paths then cross less, and are straighter. Source: Tong et al. 2024, Section 3.2.4; Pooladian et al. 2023.
    """

    def pairs(
        self, x0: Tensor, eps: Tensor, *, network: nn.Module, y: Tensor | None, phase: str
    ) -> tuple[Tensor, Tensor]:
        cost = torch.cdist(x0.flatten(1).float(), eps.flatten(1).float()).square()
        _, order = linear_sum_assignment(cost.cpu().numpy())
        return x0, eps[torch.from_numpy(order).to(eps.device)]


class PathTimes(ABC):
    """A law of times in (0, 1)."""

    @abstractmethod
    def draw(self, n: int, device: torch.device) -> Tensor:
        """n times from torch's default generator: (n,) float64."""


class Uniform(PathTimes):
    """All times alike, the batch spread evenly over them."""

    def draw(self, n: int, device: torch.device) -> Tensor:
        return lattice(n, device)


class LogitNormal(PathTimes):
    """t = sigmoid(z), z ~ N(mean, std^2): most times in the middle, where velocities are hardest to tell.

    Source: Esser et al. 2024, Eq. 19, whose time runs the same way as ours (0 is data).
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        if not std > 0:
            raise ValueError(f"times.std is {std}; it must be above 0, e.g. 1.0")
        self.mean, self.std = mean, std

    def draw(self, n: int, device: torch.device) -> Tensor:
        z = global_batch.normal(n, dtype=torch.float64, device=device)
        return torch.sigmoid(self.mean + self.std * z)


class FlowMatching(Straight, LikelihoodProcess):
    """xt = (1 - t) x0 + t eps; the network learns the velocity x0 - eps, dx/dt = -velocity.

    loss = E |network(xt, t) - (x0 - eps)|^2, mean over D.
    t = 0 is data, as everywhere here; the papers' time is 1 - t.
    density_steps: of the Runge-Kutta method for log p(x), four passes forward and four backward each, by the
    change of volume along the flow (bound "estimate": one random direction for the divergence, one draw of
    uniform dequantization).
    Source: Lipman et al. 2023, Eq. 23 with sigma_min = 0; Liu et al. 2023 (rectified flow), Eq. 1.
    """

    bound = "estimate"
    discretized = True

    def __init__(
        self,
        *,
        coupling: Coupling,
        times: PathTimes,
        solver: Solver,
        guidance: Guidance,
        density_steps: int = 16,
    ) -> None:
        super().__init__()
        if isinstance(guidance, Classifier):
            raise ValueError(
                "guidance=classifier divides by the signal at t = 1, and straight paths leave none: take "
                "guidance=classifier_free"
            )
        if density_steps < 1:
            raise ValueError(
                f"model.process.density_steps (of a prior: prior.process.density_steps) is {density_steps}; "
                "it must be at least 1, e.g. 16"
            )
        self.coupling, self.times, self.solver = coupling, times, solver
        self.guidance, self.density_steps = guidance, density_steps
        self.method = f"ode, {density_steps} rk4 steps"
        self.shares, self.phases = dict(coupling.shares), tuple(coupling.shares) or ("net",)

    def losses(self, network: nn.Module, x0: Tensor, y: Tensor | None, *, phase: str) -> Losses:
        t = self.times.draw(len(x0), x0.device)
        eps, y = global_batch.normal_like(x0), self.guidance.labels(y)
        x0, eps = self.coupling.pairs(x0, eps, network=network, y=y, phase=phase)
        at = level(t)
        xt = at.alpha * x0 + at.sigma * eps
        velocity = network(xt, t.float(), y).float()
        total = (velocity - (x0 - eps)).square().mean()
        return Losses(total, {"velocity": total.detach()})

    def adopt(self, network: nn.Module) -> None:
        self.coupling.adopt(network)

    def check_network(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> None:
        answer = network(x0, torch.ones(len(x0)), y)
        if answer.shape != x0.shape:
            raise ValueError(f"the network answers {tuple(answer.shape)}: set network.answers=1")

    def path(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor | None,
        rng: Generator | None,
        *,
        start: float = 1.0,
        known: Known | None = None,
    ) -> Iterator[Tensor]:
        def labelled(xt: Tensor, t: Tensor, label: Tensor | None) -> Denoised:
            return Denoised(xt + level(t).sigma * network(xt, t.float(), label).float(), NO_VARIANCE)

        def velocity(xt: Tensor, t: Tensor) -> Tensor:
            now = float(t)  # t is on the host
            times = xt.new_full((len(xt),), now, dtype=torch.float64)
            estimate = self.guidance.at(now).guide(labelled, xt, times, y, level(times))
            x0 = estimate.x0 if known is None else known.within(estimate.x0)
            return (x0 - xt) / level(times).sigma

        return self.solver.walk(velocity, x, start)

    def log_prob(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> Tensor:
        return self.integrated_log_prob(network, x0, y, steps=self.density_steps)

    def refined_log_prob(self, network: nn.Module, x0: Tensor, y: Tensor | None) -> Tensor:
        return self.integrated_log_prob(network, x0, y, steps=2 * self.density_steps)

    def integrated_log_prob(self, network: nn.Module, x0: Tensor, y: Tensor | None, *, steps: int) -> Tensor:
        """log p(x_0) = log N(x_1) - int_0^1 div velocity dt along dx/dt = -velocity: (B,) nats.

        Draws a random direction and the dequantization noise first, whatever the number of steps.
        """
        field = Divergence(lambda x, t: network(x, t.expand(len(x)).float(), y).float(), x0)
        x, width = dequantized(x0)
        noise, volume = flow_to_noise(field, x, steps=steps)
        return (x0[0].numel() * math.log(width) - volume - normal_nats(noise)).float()
