"""Normalizing flow: dequantization + transform + base."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genbench.flows.base import Base
from genbench.flows.dequantization import Dequantization
from genbench.flows.transform import Transform, TwoWay
from genbench.generator import Latent, Likelihood, Loss, Rng
from genbench.runtime import global_batch
from genbench.runtime.precision import full_precision
from genbench.runtime.rng import fork

__all__ = ["NormalizingFlow"]

CHECKED_IMAGES = 8


class NormalizingFlow(Latent, Likelihood):
    """log p(x) = log p(z = f(v)) + log |det df/dv| - log q(u | x), v = k + u, for bytes k = 127.5 (x + 1).

    loss is -log p in nats a dimension.
    flow: f from v in [0, 256)^D, (B, C, H, W), to z (B, D).
    dequantization: where u comes from, and how often it is drawn for log_prob, which is a lower bound.
    base: the law of z.
    temperature: what z is multiplied by in sampling; 1 is the model, less is nearer to its mode.
    check_every, tolerance: every so many steps of training the greatest error of f^-1(f(v)), in grey levels,
    is measured (0: never), and must be at most the tolerance.
    Raises FloatingPointError where the flow is no longer invertible in floating point.
    Source: Rezende & Mohamed 2015; Dinh et al. 2017, Eq. 2 and 3.
    Temperature: Kingma & Dhariwal 2018, Section 5.
    """

    inverts = True
    inverse_error: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int,
        *,
        flow: Transform,
        dequantization: Dequantization,
        base: Base,
        temperature: float = 1.0,
        check_every: int = 200,
        tolerance: float = 0.5,
    ) -> None:
        super().__init__(shape, num_classes)
        if not temperature >= 0:
            raise ValueError(f"model.temperature is {temperature}; it must be at least 0, e.g. 1.0")
        if check_every < 0 or not tolerance > 0:
            raise ValueError(
                f"model.check_every={check_every} must be at least 0, model.tolerance={tolerance} above 0"
            )
        self.flow, self.dequantization, self.base = TwoWay(flow), dequantization, base
        self.temperature, self.check_every, self.tolerance = temperature, check_every, tolerance
        self.bound, self.method = dequantization.bound, dequantization.method
        self.latent_shape = (math.prod(self.shape),)
        self.register_buffer("inverse_error", torch.zeros(()))  # kept, so that a resumed log goes on

    def autocast_networks(self) -> list[nn.Module]:
        """None: the map is only as invertible as its networks are repeatable.

        Their inputs on the way back differ by float32 rounding, which bfloat16 inside them would magnify.
        """
        return []

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        prior, log_det, log_q = self.parts(x, y)
        dimensions = math.prod(self.shape)
        total = -(prior + log_det - log_q).mean() / dimensions
        if global_batch.is_whole():
            self.check_inverse(x, y, step)
        terms = {"prior": prior, "log_det": log_det, "log_q": log_q}
        shown = {name: term.detach().mean() / dimensions for name, term in terms.items()}
        return Loss(total, {"nll": total.detach(), **shown, "inverse_error": self.inverse_error.clone()})

    def prepare(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> None:
        """Show the first batch to the layers that take their statistics from it; check the inverse.

        The noise is the one that the losses of the parts then see.
        """
        if self.training and step == 0:
            with fork(x.device), frozen(self):
                self.parts(x, y)
        self.check_inverse(x, y, step)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Log of the mean weight p(v) / q(u | x) over `dequantization.draws` draws of u, (B,) nats."""
        draws = self.dequantization.draws
        parts = (self.parts(x, y) for _ in range(draws))
        log_weights = torch.stack([prior + log_det - log_q for prior, log_det, log_q in parts])
        return log_weights.logsumexp(dim=0) - math.log(draws)

    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        device = self.inverse_error.device
        return self.temperature * self.base.sample((n, *self.latent_shape), rng=rng, device=device)

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents of the centres of the images' buckets, (B, D): nothing is left to chance."""
        self.check_batch(x, y)
        z, _ = self.map(grey_levels(x) + 0.5, y)
        return finite(z, "latents")

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(z))
        v, _ = self.map(z, y, reverse=True)
        return finite((v - 0.5) / 127.5 - 1, "images")

    def parts(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """log p(z), log_det and log q(u) of a batch, (B,) each."""
        self.check_batch(x, y)
        v, log_q = self.dequantization(grey_levels(x), y)
        z, log_det = self.map(v, y)
        return self.base.log_prob(z), log_det, log_q

    def map(self, x: Tensor, y: Tensor | None, *, reverse: bool = False) -> tuple[Tensor, Tensor | None]:
        """The flow or its inverse (see TwoWay) in plain float32: no autocast, and no TF32 on a GPU."""
        with full_precision(x.device):
            return self.flow(x, y, reverse=reverse)

    @torch.no_grad()
    def check_inverse(self, x: Tensor, y: Tensor | None, step: int) -> None:
        """Measure, where it is due, how far f^-1(f(v)) is from v, as the flow is used: without dropout."""
        if not self.check_every or step % self.check_every:
            return
        x, y = x[:CHECKED_IMAGES], None if y is None else y[:CHECKED_IMAGES]
        training = self.flow.training
        self.flow.eval()
        v = grey_levels(x) + 0.5
        back, _ = self.map(self.map(v, y)[0], y, reverse=True)
        self.flow.train(training)
        self.inverse_error.copy_((back - v).abs().max())
        if not float(self.inverse_error) <= self.tolerance:
            raise FloatingPointError(
                f"not invertible in phase 'net' at step {step}: f^-1(f(v)) is off by inverse_error="
                f"{float(self.inverse_error):.3g} grey levels, model.tolerance is {self.tolerance}: lower "
                "optim.lr or coupling.bound"
            )


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within, no parameter takes gradient, so that a forward pass holds no activations in memory."""
    learned = [p for p in module.parameters() if p.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)


def grey_levels(x: Tensor) -> Tensor:
    """The grey levels 0 .. 255 of images in [-1, 1], as floats."""
    return ((x + 1) * 127.5).round().clamp(0, 255)


def finite(values: Tensor, what: str) -> Tensor:
    """The same values. Raises FloatingPointError where one is not finite."""
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite()).flatten(1).any(dim=1).sum())
        raise FloatingPointError(
            f"{what} of {bad} of {len(values)} are not finite: the flow has lost its inverse there; "
            "train at a lower optim.lr or coupling.bound"
        )
    return values
