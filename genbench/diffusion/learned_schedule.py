"""A noise schedule that is trained with the model."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.diffusion.schedule import Schedule
from genbench.probability.counts import MOST_CHANNELS, check_count

__all__ = ["LearnedSchedule", "Monotone"]

POSITIVE_MIN = 1e-3  # so that gamma rises strictly in float64 even where raw weights fall far below 0


class LearnedSchedule(Schedule):
    """alpha_bar_k = sigmoid(-gamma((k - 1) / (T - 1))) for k = 1..T: -gamma is the log-SNR, and learned.

    gamma(u) = gamma_0 + (gamma_1 - gamma_0) (g(u) - g(0)) / (g(1) - g(0)), g strictly rising whatever its
    weights are; gamma_0 and gamma_1 > gamma_0 are where the learned ends start. Computed in float64 from
    float32 parameters. gamma_1 = 5 leaves alpha_bar_T = 6.7e-3, where other schedules are below 1e-4: it is
    the paper's on purpose, since the schedule is trained by a bound that counts what is left as L_T, the
    error of sampling, which starts from noise alone: 0.0035 bits a dimension on digits.
    Raises ValueError unless T >= 2 and gamma_0 < gamma_1.
    Source: Kingma et al. 2021, Section 4 and Appendix H.
    """

    def __init__(
        self, T: int = 1000, gamma_0: float = -13.3, gamma_1: float = 5.0, width: int = 1024
    ) -> None:
        super().__init__(T)
        if T < 2:
            raise ValueError(f"schedule.T is {T}; it must be at least 2: a learned schedule has two ends")
        gap = gamma_1 - gamma_0 - POSITIVE_MIN
        if not gap > 0:
            raise ValueError(
                f"schedule.gamma_0={gamma_0} (minus the log-SNR of step 1) must be more than {POSITIVE_MIN} "
                f"below schedule.gamma_1={gamma_1} (of step T)"
            )
        self.gamma_0 = nn.Parameter(torch.tensor(gamma_0))
        # log(e^gap - 1), without overflow: softplus of the parameter starts at the gap.
        self.gap = nn.Parameter(torch.tensor(gap + math.log(-math.expm1(-gap))))
        self.g = Monotone(width)

    def at(self, k: Tensor) -> Tensor:
        u = (k - 1).double() / (self.T - 1)
        # alpha_bar_0 = 1 is a fact of the data, which no weight may change.
        return torch.where(k > 0, torch.sigmoid(-self.gamma(u)), 1.0)

    def gamma(self, u: Tensor) -> Tensor:
        """Minus the log-SNR at u, which is 0 at step 1 and 1 at step T: (B,) float64 -> (B,) float64."""
        ends = torch.arange(2, dtype=u.dtype, device=u.device)
        # In one call: the gradients of two would be rounded to float32 before they nearly cancel.
        g = self.g(torch.cat([ends, u]))
        return self.gamma_0.double() + positive(self.gap) * (g[2:] - g[0]) / (g[1] - g[0])


class Monotone(nn.Module):
    """g(u) = l1(u) + l3(sigmoid(l2(l1(u)))), linear maps 1 -> 1 -> width -> 1 of positive weights.

    l3 is a mean, and has no bias (a constant, which Learned would take away again).
    Source: Kingma et al. 2021, Appendix H.
    """

    def __init__(self, width: int = 1024) -> None:
        super().__init__()
        check_count("schedule.width", width, MOST_CHANNELS, usual=1024)
        self.weight_1, self.bias_1 = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.weight_2, self.bias_2 = nn.Parameter(torch.randn(width)), nn.Parameter(torch.randn(width))
        self.weight_3 = nn.Parameter(torch.randn(width))

    def forward(self, u: Tensor) -> Tensor:
        """Evaluate g at each u: (B,) float64 -> (B,) float64."""
        first = positive(self.weight_1) * u + self.bias_1.double()
        hidden = torch.sigmoid(positive(self.weight_2) * first[:, None] + self.bias_2.double())  # (B, width)
        return first + (positive(self.weight_3) * hidden).mean(dim=1)


def positive(raw: Tensor) -> Tensor:
    """softplus(raw) + POSITIVE_MIN, a weight above 0 for any raw parameter, in float64."""
    return F.softplus(raw.double()) + POSITIVE_MIN
