"""Mean flows: a network that learns the average velocity of a step, so that one pass is a whole step."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Generator, Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from genbench.diffusion.flow_matching import Straight, check_answer, straight_level
from genbench.diffusion.path_times import PathTimes
from genbench.diffusion.process import Known
from genbench.probability.counts import MOST_PASSES, check_count
from genbench.probability.loss import Loss
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning, Encoded

__all__ = ["MeanFlow"]


class MeanFlow(Straight):
    """network(xt, (t, t - r), y) = -u, u = int_r^t v ds / (t - r) the average velocity from t down to r.

    As in flow matching the network points towards the data: x_r = xt + (t - r) network, exact for any r.
    With v = eps - x0: u = v - (t - r) du/dt, where du/dt is the derivative along (v, 0, 1) in (xt, r, t), by
    forward-mode differentiation of the network as it is in evaluation mode; the right side has no gradient.
    loss = E w(|u - target|^2), squares averaged over D, whose gradient is that of the square divided by
    (square + c)^power: w(m) = log(1 + m / c) at power 1, m at power 0.
    times: t and r are the larger and the smaller of two draws. every: of that many images one has r < t, the
    others r = t, where the loss is that of flow matching and nothing is differentiated twice.
    scale: 1, or that of classifier-free guidance, which is part of the flow that is learned, so that samples
    take one pass a step: v becomes scale v + (1 - scale) u(xt, t, t | nothing), for all but a share p_uncond
    of the images, which are trained without their label or text (num_classes: K, 0 without labels).
    steps: of a sample, equally long, a pass each. network_times: the number of times that networks are built
    for, a key of the configuration that they refer to.
    There is no likelihood: an average velocity has no divergence at a point of the path.
    Raises ValueError on numbers outside their range.
    Source: Geng et al. 2025, Mean Flows for One-step Generative Modeling, Eq. 6, 10 and 19, Algorithms 1, 2.
    Apart from them: the network's sign, squares over D, and derivatives of the images alone that need them.
    """

    def __init__(
        self,
        num_classes: int = 0,
        *,
        times: PathTimes,
        steps: int = 1,
        every: int = 4,
        power: float = 1.0,
        c: float = 1e-4,
        scale: float = 1.0,
        p_uncond: float = 0.1,
        network_times: int = 2,
    ) -> None:
        super().__init__()
        check_count("process.steps", steps, MOST_PASSES, usual=1)
        check_count("process.every", every, MOST_PASSES, usual=4)
        if not 0 <= power <= 1:
            raise ValueError(f"process.power is {power}; it must be from 0 (squares) to 1")
        if not c > 0:
            raise ValueError(f"process.c is {c}; it must be above 0, e.g. 0.0001")
        if not scale >= 1:
            raise ValueError(f"process.scale is {scale}; it must be at least 1 (no guidance), e.g. 2")
        if not 0 < p_uncond < 1:
            raise ValueError(f"process.p_uncond is {p_uncond}; it must be between 0 and 1, e.g. 0.1")
        if network_times != 2:
            raise ValueError(f"process.network_times is {network_times}; it must be 2: t and t - r")
        self.null, self.times, self.steps, self.every = num_classes, times, steps, every
        self.power, self.c, self.scale, self.p_uncond = power, c, scale, p_uncond
        self.network_times = network_times

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        if self.scale != 1 and y is None:
            raise ValueError(
                f"process.scale is {self.scale}, and guidance needs classes or text: set conditional=true, "
                "text=small with data that have captions, or process.scale=1"
            )
        check_answer(network(x0, torch.ones(len(x0), 2), y), x0)
        load_derivatives()

    def check_augmentation(self) -> None:
        raise ValueError(
            "mean flows are differentiated on some images of a batch, of which an augmented network knows "
            "the whole: leave the augmentation out"
        )

    def losses(self, network: nn.Module, x0: Tensor, y: Conditioning, *, phase: str) -> Loss:
        first, second = self.times.draw(len(x0), x0.device), self.times.draw_alone(len(x0), x0.device)
        eps, spread = global_batch.normal_like(x0), global_batch.every(len(x0), self.every)
        t, span = torch.maximum(first, second), torch.zeros_like(first)
        span[spread] = (first - second).abs()[spread]
        at, velocity = straight_level(t), x0 - eps
        xt, times = at.alpha * x0 + at.sigma * eps, torch.stack([t, span], dim=1).float()
        with torch.no_grad(), evaluating(network):
            if self.scale != 1:
                y, velocity = self.guided(network, xt, t, y, velocity)
            target = velocity.clone()
            if len(some := xt[spread]):
                own = y if y is None else y[spread]
                slope = self.slope(network, some, -velocity[spread], times[spread], own)
                target[spread] -= times[spread, 1, None, None, None] * slope
        answer = network(xt, times, y).float()
        squared = (answer - target).square().flatten(1).mean(1)
        return Loss(self.weighted(squared).mean(), {"velocity": squared.detach().mean()})

    def weighted(self, squared: Tensor) -> Tensor:
        """Return w(m), whose derivative is (m + c)^-power, w(0) = 0: squared errors m (B,) -> (B,)."""
        if self.power == 1:
            return torch.log1p(squared / self.c)
        rest = 1 - self.power
        return ((squared + self.c) ** rest - self.c**rest) / rest

    def slope(self, network: nn.Module, xt: Tensor, v: Tensor, times: Tensor, y: Conditioning) -> Tensor:
        """Return the derivative of the network along the path, d/dt of network(xt, (t, t - r), y) at fixed r,
        where dxt/dt = v: xt, v (B, C, H, W), times (B, 2) -> (B, C, H, W).

        By dual numbers, through the network's own hooks; attention by the formula, since fused kernels have
        no such derivative, and as it is written where it is compiled, for the same reason.
        """
        # Asked for where it is needed alone, since torch's compiler takes seconds to import.
        is_compiled = "forward" in vars(network)
        written = torch.compiler.set_stance("force_eager") if is_compiled else nullcontext()
        with written, sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
            # Dense copies of the rows, as dual numbers want; t and t - r grow alike.
            xt, v, times = xt.clone(), v.clone(), times.clone()
            along = forward_ad.make_dual(times, torch.ones_like(times))
            dual = network(forward_ad.make_dual(xt, v), along, y)
            tangent = forward_ad.unpack_dual(dual).tangent
        return torch.zeros_like(xt) if tangent is None else tangent

    def guided(
        self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning, velocity: Tensor
    ) -> tuple[Conditioning, Tensor]:
        """Drop some labels or texts, and guide the velocities (B, C, H, W) of all other images at t (B,).

        Returns the condition that the network is trained with, and the velocities.
        """
        dropped = global_batch.uniform(len(xt), device=xt.device) < self.p_uncond
        alone = torch.stack([t, torch.zeros_like(t)], dim=1).float()
        if isinstance(y, Encoded):
            free, y = network(xt, alone, y.null()), y.dropped(dropped)
        else:
            assert y is not None
            free, y = network(xt, alone, torch.full_like(y, self.null)), y.masked_fill(dropped, self.null)
        scale = torch.where(dropped, 1.0, self.scale)[:, None, None, None]
        return y, scale * velocity + (1 - scale) * free.float()

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
        steps = max(round(self.steps * start), 1)
        for k in range(steps, 0, -1):
            t, span = start * k / steps, start / steps
            times = torch.stack([x.new_full((len(x),), t), x.new_full((len(x),), span)], dim=1)
            # The image to which this step points, of which given pixels are replaced.
            x0 = x + t * network(x, times, y).float()
            x = torch.lerp(x, x0 if known is None else known.within(x0), 1 / k)
            yield x


def load_derivatives() -> None:
    """Have torch load what dual numbers need, at their first use, without its warning of an older part."""
    with warnings.catch_warnings(), forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)
        forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Have a network compute without dropout inside the block, whatever mode it is in."""
    learning = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(learning)
