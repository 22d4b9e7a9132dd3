"""The distribution of training times over the steps of a schedule, with importance weights."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench.diffusion.schedule import Schedule
from genbench.probability.counts import MOST_LAYERS, check_count
from genbench.runtime import global_batch

__all__ = ["DrawnTimes", "Importance", "LogNormal", "Stratified", "Times", "UniformTimes", "lattice"]


class DrawnTimes(NamedTuple):
    """The times of a batch, and the weight of the loss at each of them.

    The weight's meaning is the maker's: of unbiased `Times`, mean_i weight_i f(t_i) has the expectation
    mean_k f(k / T) over the steps k = 1..T; of the terms of a bound, their sum has that of all T terms.
    """

    t: Tensor
    """k / T, k in 1..T: (n,) float64."""
    weight: Tensor
    """Importance weights: (n,) float32."""


class Times(nn.Module, ABC):
    """A distribution over the steps 1..T from which training draws; abstract.

    E[weight f(t)] is the mean of f over the grid, so that it changes the variance of a loss, not its mean.
    One that learns from losses has its state in buffers, which checkpoints save.
    """

    unbiased: bool = True
    """True where E[weight f(t)] is the mean of f over the grid."""

    def check(self, schedule: Schedule) -> None:
        """Raise ValueError unless it fits the schedule's number of steps; by default it fits any.

        Called when a process is built, before anything is trained.
        """

    @abstractmethod
    def forward(self, n: int, schedule: Schedule, device: torch.device) -> DrawnTimes:
        """Draw times k / T for a batch of n images, with their weights: (n,) each on the device.

        Randomness is torch's default generator, which the training loop seeds at every step.
        """

    def update(self, t: Tensor, loss: Tensor) -> None:
        """Learn from the losses of a batch at times t, both (B,), the losses without their weights.

        Called once a batch, or once for each of its parts; by default nothing is learned.
        """


class UniformTimes(Times):
    """Independent times, each step of probability 1 / T, all weights 1.

    Source: Ho et al. 2020, Algorithm 1.
    """

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> DrawnTimes:
        u = global_batch.uniform(n, dtype=torch.float64, device=device)
        return unweighted(step_of(u, schedule.T) / schedule.T)


class Stratified(Times):
    """Times on a lattice: the batch covers the grid evenly, which lowers the variance of the loss.

    Each time alone is uniform over the steps; all weights are 1. Source: Kingma et al. 2021, Appendix I.1.
    """

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> DrawnTimes:
        return unweighted(step_of(lattice(n, device), schedule.T) / schedule.T)


class LogNormal(Times):
    """ln sigma ~ N(mean, std^2) for xt = (x0 + sigma eps) / sqrt(1 + sigma^2): log-SNR is -2 ln sigma.

    Rounded to the nearest step of the grid. The one exception to E[weight f(t)] = mean of f: all weights are
    1, since this is the distribution that the loss is meant to be averaged over. Raises ValueError unless
    std > 0.
    Source: Karras et al. 2022, Table 1 (noise distribution), Section 5.
    """

    unbiased = False

    def __init__(self, mean: float = -1.2, std: float = 1.2) -> None:
        super().__init__()
        if not std > 0:
            raise ValueError(f"times.std is {std}; it must be above 0, e.g. 1.2")
        self.mean, self.std = mean, std

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> DrawnTimes:
        log_sigma = self.mean + self.std * global_batch.normal(n, dtype=torch.float64, device=device)
        return unweighted(schedule.nearest(-2 * log_sigma))


class Importance(Times):
    """p_k = (1 - uniform) sqrt(E[L_k^2]) / sum_j sqrt(E[L_j^2]) + uniform / T, weight 1 / (T p_k).

    The expectations are means of the last `history` losses of each step; p is 1 / T until every step has
    as many. T is the schedule's. Raises ValueError on T or history below 1 and on uniform outside (0, 1].
    Source: Nichol & Dhariwal 2021, Eq. 18; the share of `uniform` as in the authors' code.
    """

    losses: Tensor
    """The last losses of each step in a ring: (T, history) float32."""
    seen: Tensor
    """The number of losses of each step so far: (T,) int64."""

    def __init__(self, T: int, history: int = 10, uniform: float = 0.001) -> None:
        super().__init__()
        if T < 1:
            raise ValueError(f"times.T is {T}; it must be schedule.T, at least 1")
        check_count("times.history", history, MOST_LAYERS, usual=10)
        if not 0 < uniform <= 1:
            raise ValueError(
                f"times.uniform is {uniform}; it must be above 0, so that every step is drawn at times, "
                "and at most 1, e.g. 0.001"
            )
        self.T, self.history, self.uniform = T, history, uniform
        self.register_buffer("losses", torch.zeros(T, history))
        self.register_buffer("seen", torch.zeros(T, dtype=torch.int64))
        self.rows = global_batch.StepRows()

    def check(self, schedule: Schedule) -> None:
        schedule.check_steps(self.T, "times.T")

    def forward(self, n: int, schedule: Schedule, device: torch.device) -> DrawnTimes:
        self.check(schedule)
        p = self.probabilities()
        # By inversion of the cumulative distribution, one uniform number an image.
        u = global_batch.uniform(n, dtype=torch.float64, device=device)
        # Rounding can leave the sum of all below a u that is almost 1.
        k = torch.searchsorted(p.cumsum(dim=0), u, right=True).clamp(max=self.T - 1)
        return DrawnTimes((k + 1).double() / self.T, (1 / (self.T * p[k])).float())

    def probabilities(self) -> Tensor:
        """Compute p_1 .. p_T of the next draw: (T,) float64, sum 1."""
        # sqrt of the mean of squares, the optimum for importance sampling of a mean.
        root = self.losses.double().square().mean(dim=1).sqrt()
        # A share is uniform, so that no weight 1 / (T p) is unbounded.
        p = (1 - self.uniform) * root / root.sum() + self.uniform / self.T
        return torch.where((self.seen >= self.history).all(), p, 1 / self.T)

    @torch.no_grad()
    def update(self, t: Tensor, loss: Tensor) -> None:
        rows = self.rows.complete([t, loss.detach()])
        if rows is not None:  # the last part of the batch: rows are those of all parts
            self.store(rows[0], rows[1])

    def store(self, t: Tensor, loss: Tensor) -> None:
        """Write the losses (B,) of a whole batch at times t (B,) into the rings, in the batch's order."""
        # Sorted by step, each loss has a rank within its step, and a slot of the ring by it.
        k, order = (torch.round(t * self.T).long() - 1).sort(stable=True)
        first, behind = torch.searchsorted(k, k), torch.searchsorted(k, k, right=True)
        place = torch.arange(len(k), device=k.device)
        slot = (self.seen[k] + place - first) % self.history
        # Where one step comes more often than the ring is long, all losses of a slot write its last one.
        last = place + (behind - 1 - place) // self.history * self.history
        self.losses[k, slot] = loss.float()[order[last]]
        self.seen[k] += behind - first


def step_of(u: Tensor, T: int) -> Tensor:
    """floor(u T) + 1, the step 1..T that u in [0, 1) falls in: (n,) -> (n,) float64."""
    return torch.floor(u * T).clamp(max=T - 1) + 1


def unweighted(t: Tensor) -> DrawnTimes:
    """Return times (n,) with the weight 1 each, as draws with equal probabilities need."""
    return DrawnTimes(t, torch.ones(len(t), device=t.device))


def lattice(n: int, device: torch.device) -> Tensor:
    """u_i = (u + i / n) mod 1 with one shared u from torch's default generator: (n,) float64 in [0, 1).

    Source: Kingma et al. 2021, Appendix I.1 (low-discrepancy sampler).
    """
    # One number for the whole batch, of which a part takes its own i.
    shared = torch.rand(1, dtype=torch.float64, device=device)
    i_by_n = global_batch.rows(n, lambda m: torch.arange(m, dtype=torch.float64, device=device) / m)
    return (shared + i_by_n) % 1.0
