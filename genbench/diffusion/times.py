"""Which times of the grid a training batch visits, and what each of them counts."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench.diffusion.schedule import Schedule
from genbench.runtime import global_batch

__all__ = ["Drawn", "Importance", "LogNormal", "Stratified", "Times", "Uniform", "lattice"]


class Drawn(NamedTuple):
    """The times of a batch, and how much the loss at each of them counts."""

    t: Tensor
    """k / T, k in 1..T: (n,) float64."""
    weight: Tensor
    """Importance weights: (n,) float32."""


class Times(nn.Module, ABC):
    """A law over the steps 1..T.

    E[weight f(t)] is the mean of f over the grid, so that a law changes the variance of a loss, not its mean.
    What a law has learned stands in its buffers.
    """

    unbiased: bool = True
    """Whether that holds."""

    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless the law fits a schedule; most fit all."""

    @abstractmethod
    def forward(self, n: int, schedule: Schedule, device: torch.device) -> Drawn:
        """Times for a batch of n images, drawn from torch's default generator."""

    def update(self, t: Tensor, loss: Tensor) -> None:
        """Learn from the losses (B,), not weighted, that came about at times t (B,); most laws do not."""


class Uniform(Times):
    """Independent times, each step equally likely.

    Source: Ho et al. 2020, Algorithm 1.
    """

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> Drawn:
        return unweighted(
            step_of(global_batch.uniform(n, dtype=torch.float64, device=device), schedule.T) / schedule.T
        )


class Stratified(Times):
    """A lattice, so that the batch covers the grid evenly, which lowers the variance."""

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> Drawn:
        return unweighted(step_of(lattice(n, device), schedule.T) / schedule.T)


class LogNormal(Times):
    """ln sigma ~ N(mean, std^2) for xt = (x0 + sigma eps) / sqrt(1 + sigma^2): log-SNR is -2 ln sigma.

    The nearest step of the grid is taken. The one exception to E[weight f(t)] = mean of f: all weights are 1,
    since this is the distribution that the loss is meant to be averaged over.
    Source: Karras et al. 2022, Table 1 (noise distribution), Section 5.
    """

    unbiased = False

    def __init__(self, mean: float = -1.2, std: float = 1.2) -> None:
        super().__init__()
        if not std > 0:
            raise ValueError(f"times.std is {std}; it must be above 0, e.g. 1.2")
        self.mean, self.std = mean, std

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> Drawn:
        log_sigma = self.mean + self.std * global_batch.normal(n, dtype=torch.float64, device=device)
        return unweighted(schedule.nearest(-2 * log_sigma))


class Importance(Times):
    """p_k = (1 - uniform) sqrt(E[L_k^2]) / sum_j sqrt(E[L_j^2]) + uniform / T, weight 1 / (T p_k).

    The expectations are means of the last `history` losses of each step; p is 1 / T until every step has
    as many. T is the schedule's.
    Source: Nichol & Dhariwal 2021, Eq. 18; the share of `uniform` as in the authors' code.
    """

    losses: Tensor
    """The last losses of each step in a ring: (T, history) float32."""
    seen: Tensor
    """How many losses of each step there have been: (T,) int64."""

    def __init__(self, T: int, history: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        if T < 1 or history < 1:
            raise ValueError(f"times.T is {T} and times.history is {history}; both must be at least 1")
        if not 0 < uniform <= 1:
            raise ValueError(
                f"times.uniform is {uniform}; it must be above 0, lest a step be never visited, and at most 1"
            )
        self.T, self.history, self.uniform = T, history, uniform
        self.register_buffer("losses", torch.zeros(T, history))
        self.register_buffer("seen", torch.zeros(T, dtype=torch.int64))
        self.rows = global_batch.StepRows()

    def check(self, schedule: Schedule) -> None:
        if schedule.T != self.T:
            raise ValueError(f"times.T is {self.T}, and schedule.T is {schedule.T}: they must be equal")

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> Drawn:
        self.check(schedule)
        p = self.probabilities()
        u = global_batch.uniform(n, dtype=torch.float64, device=device)
        # Rounding can leave the sum of all below a u that is almost 1.
        k = torch.searchsorted(p.cumsum(dim=0), u, right=True).clamp(max=self.T - 1)
        return Drawn((k + 1).double() / self.T, (1 / (self.T * p[k])).float())

    def probabilities(self) -> Tensor:
        """p_1 .. p_T, (T,) float64."""
        root = self.losses.double().square().mean(dim=1).sqrt()
        p = (1 - self.uniform) * root / root.sum() + self.uniform / self.T
        return torch.where((self.seen >= self.history).all(), p, 1 / self.T)

    @torch.no_grad()
    def update(self, t: Tensor, loss: Tensor) -> None:
        rows = self.rows.complete([t, loss.detach()])
        if rows is not None:
            self.take_in(rows[0], rows[1])

    def take_in(self, t: Tensor, loss: Tensor) -> None:
        """Write the losses (B,) of a whole batch at times t (B,) into the rings."""
        k, order = (torch.round(t * self.T).long() - 1).sort(stable=True)
        first, behind = torch.searchsorted(k, k), torch.searchsorted(k, k, right=True)
        place = torch.arange(len(k), device=k.device)
        slot = (self.seen[k] + place - first) % self.history
        # Where one step comes more often than the ring is long, all losses of a slot write its last one.
        last = place + (behind - 1 - place) // self.history * self.history
        self.losses[k, slot] = loss.float()[order[last]]
        self.seen[k] += behind - first


def step_of(u: Tensor, T: int) -> Tensor:
    """The step 1..T in whose share of [0, 1) each u (n,) lies: (n,) float64."""
    return torch.floor(u * T).clamp(max=T - 1) + 1


def unweighted(t: Tensor) -> Drawn:
    """Times that all count alike."""
    return Drawn(t, torch.ones(len(t), device=t.device))


def lattice(n: int, device: torch.device) -> Tensor:
    """u_i = (u + i / n) mod 1 with one shared u from torch's default generator: (n,) float64 in [0, 1).

    Source: Kingma et al. 2021, Appendix I.1 (low-discrepancy sampler).
    """
    shared = torch.rand(1, dtype=torch.float64, device=device)
    i_by_n = global_batch.rows(n, lambda m: torch.arange(m, dtype=torch.float64, device=device) / m)
    return (shared + i_by_n) % 1.0
