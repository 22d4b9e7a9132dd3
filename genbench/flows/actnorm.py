"""Normalisation by the statistics of the first batch."""

import torch
from torch import Tensor, nn

from genbench.flows.transform import ChannelMap
from genbench.runtime import global_batch

__all__ = ["ActNorm"]


class ActNorm(ChannelMap):
    """z = (x - loc) / std e^g + b: channels of the first batch come out with mean 0 and variance 1.

    loc and std are that batch's and never change; the corrections g and b start at 0 and are learned.
    Statistics are buffers and corrections parameters, since a moving average of the weights, begun before
    the first batch, takes over buffers whole and parameters step by step: it is right from the first step on.
    A first batch is one in training mode under gradient; sampling and evaluation never set statistics.
    A batch in parts or over several processes counts whole (see NormalizingFlow.prepare).
    least_std: lower bound of std, for channels that are constant in the first batch.
    Source: Kingma & Dhariwal 2018, Section 3.1.
    """

    loc: Tensor
    log_std: Tensor
    initialised: Tensor

    def __init__(self, channels: int, *, least_std: float = 1e-3) -> None:
        super().__init__()
        self.least_std = least_std
        self.register_buffer("loc", torch.zeros(channels, 1, 1))
        self.register_buffer("log_std", torch.zeros(channels, 1, 1))
        self.register_buffer("initialised", torch.tensor(False))
        self.log_gain = nn.Parameter(torch.zeros(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.known_initialised = False  # a copy of `initialised` on the host: reading the buffer stalls a GPU
        self.register_load_state_dict_post_hook(read_known)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if not self.is_ready():
            self.initialise(x.detach())
        log_scale = self.log_gain - self.log_std  # (C, 1, 1)
        log_det = log_scale.sum() * (x[0].numel() // len(log_scale))  # H W times the sum over channels
        return torch.addcmul(self.bias, x - self.loc, log_scale.exp()), log_det.expand(len(x))

    def is_ready(self) -> bool:
        return self.known_initialised or not (self.training and torch.is_grad_enabled())

    def matrix(self) -> tuple[Tensor, Tensor, Tensor]:
        log_scale = (self.log_gain - self.log_std).flatten()  # (C,)
        scale = log_scale.exp()
        bias = torch.addcmul(self.bias.flatten(), self.loc.flatten(), scale, value=-1)
        return scale.diag(), bias, log_scale.sum()

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.addcmul(self.loc, z - self.bias, (self.log_std - self.log_gain).exp())

    def initialise(self, x: Tensor) -> None:
        """Set the statistics, unless they are set, to those of the whole batch that x (B, C, H, W) is of."""
        if not bool(self.initialised):
            mean = global_batch.mean(x.mean(dim=(0, 2, 3), keepdim=True))[0]  # (C, 1, 1)
            # A second pass, since the variance is about the mean of the whole batch.
            variance = global_batch.mean((x - mean).square().mean(dim=(0, 2, 3), keepdim=True))[0]
            self.loc.copy_(mean)
            self.log_std.copy_(variance.sqrt().clamp(min=self.least_std).log())
            self.initialised.fill_(True)
        self.known_initialised = True


def read_known(module: nn.Module, incompatible_keys: object) -> None:
    """Read the flag `initialised` after a state was loaded (a hook of torch's load_state_dict), so that the
    first step of a resumed training computes `matrix`, as it would without the stop, and rounds alike."""
    if isinstance(module, ActNorm):
        module.known_initialised = bool(module.initialised)
