"""Normalizing flow: dequantization + invertible transform + base distribution."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genbench.diffusion.guidance import ClassifierFree, Unguided
from genbench.flows.base_distribution import Base
from genbench.flows.dequantization import Dequantization
from genbench.flows.network import CausalNet
from genbench.flows.transform import Away, Guidable, Transform, TwoWay
from genbench.generator import Latent, Likelihood, Loss, Rng, Y
from genbench.runtime import global_batch
from genbench.runtime.precision import full_precision
from genbench.runtime.rng import fork
from genbench.text.condition import Conditioning
from genbench.text.legal import labels_of

__all__ = ["NormalizingFlow"]

CHECKED_IMAGES = 8  # of a batch, for which the inverse is measured

FINEST_TOLERANCE = 0.001  # grey levels; inverses of float32 are some 1e-4 off


class NormalizingFlow(Latent, Likelihood):
    """log p(x) = log p(z = f(v)) + log |det df/dv| - log q(u | x), v = k + u, for bytes k = 127.5 (x + 1).

    loss is -log p in nats a dimension.
    flow: f from v in [0, 256)^D, (B, C, H, W), to z (B, D).
    dequantization: the distribution of u, and how often it is drawn for log_prob, which is a lower bound.
    decode applies its `clean`, which takes Gaussian noise off.
    base: the distribution of z.
    temperature: the factor of z in sampling; 1 is the model, less is nearer to its mode.
    check_every, tolerance: every so many steps of training the greatest error of f^-1(f(v)), in grey levels,
    is measured (0: never), and must be at most the tolerance.
    guidance: classifier-free, of decode alone, or none; a flow that is Guidable takes it. log_prob is that of
    the model without guidance.
    Raises ValueError on numbers outside their range, FloatingPointError where the flow is no longer
    invertible in floating point.
    Source: Rezende & Mohamed 2015; Dinh et al. 2017, Eq. 2 and 3.
    Temperature: Kingma & Dhariwal 2018, Section 5.
    """

    inverts = True
    inverse_error: Tensor
    """The error of f^-1(f(v)) that was measured last, in grey levels: () float32."""

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
        guidance: Unguided | ClassifierFree | None = None,
    ) -> None:
        super().__init__(shape, num_classes)
        if not temperature >= 0:
            raise ValueError(f"model.temperature is {temperature}; it must be at least 0, e.g. 1.0")
        if check_every < 0:
            raise ValueError(f"model.check_every is {check_every}; it must be at least 0 (never), e.g. 200")
        if not tolerance >= FINEST_TOLERANCE:
            raise ValueError(
                f"model.tolerance is {tolerance}; it must be at least {FINEST_TOLERANCE} grey levels, the "
                "rounding of float32, e.g. 0.5"
            )
        if dequantization.spills and not all(x.takes_any for x in flow.modules() if isinstance(x, Transform)):
            raise ValueError(
                "dequantization=gaussian makes numbers below black and above white, which pixels=logit "
                "cannot take: use pixels=plain, or dequantization=uniform"
            )
        self.flow, self.dequantization, self.base = TwoWay(flow), dequantization, base
        self.guidance = guidance or Unguided()
        self.check_guidance()
        self.inverts = not (dequantization.cleans or isinstance(guidance, ClassifierFree))
        self.temperature, self.check_every, self.tolerance = temperature, check_every, tolerance
        self.bound, self.method = dequantization.bound, dequantization.method
        self.latent_shape = (math.prod(self.shape),)
        self.register_buffer("inverse_error", torch.zeros(()))  # a buffer, so that a resumed log goes on

    def autocast_networks(self) -> list[nn.Module]:
        """Return none: the map is only as invertible as its networks are repeatable.

        On the way back their inputs differ by float32 rounding, which bfloat16 inside them would magnify.
        """
        return []

    def networks(self) -> list[nn.Module]:
        """Return the flow, which is one pass of all its networks, or the networks of a flow that draws token
        by token: its inverse is a pass of each network for each token.
        """
        causal = [module for module in self.flow.modules() if isinstance(module, CausalNet)]
        return [*causal] or super().networks()

    def check_replayable(self) -> None:
        if self.check_every:
            raise ValueError(
                f"model.check_every is {self.check_every}, and the check of the inverse reads numbers off "
                "the device, which trainer.cuda_graphs cannot record: use model.check_every=0, or "
                "trainer.cuda_graphs=false"
            )

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        # Training takes one draw of u, whose mean is the bound.
        prior, log_det, log_q = self.parts(x, y, self.guidance.labels(labels_of(y)))
        dimensions = math.prod(self.shape)
        total = -(prior + log_det - log_q).mean() / dimensions
        if global_batch.is_whole():
            self.check_inverse(x, y, step)
        terms = {"prior": prior, "log_det": log_det, "log_q": log_q}
        shown = {name: term.detach().mean() / dimensions for name, term in terms.items()}
        return Loss(total, {"nll": total.detach(), **shown, "inverse_error": self.inverse_error.clone()})

    def prepare(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> None:
        """Initialise the layers that take statistics of the first batch (ActNorm), and check the inverse.

        The random state is restored, so that the losses of the parts draw the noise that the layers were
        initialised with.
        """
        self.check_batch(x, y)
        if self.training and step == 0:
            # The random state is restored afterwards; no gradient is taken.
            with fork(x.device), frozen(self):
                self.parts(x, y)
        self.check_inverse(x, y, step)

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        """log (1/n) sum_i p(v_i) / q(u_i | x) over n = `dequantization.draws` draws: (B,) nats."""
        self.check_batch(x, y)
        draws = self.dequantization.draws
        # A generator: one draw at a time is in memory.
        parts = (self.parts(x, y) for _ in range(draws))
        log_weights = torch.stack([prior + log_det - log_q for prior, log_det, log_q in parts])
        return log_weights.logsumexp(dim=0) - math.log(draws)

    def prior(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        device = self.inverse_error.device
        return self.temperature * self.base.sample((n, *self.latent_shape), rng=rng, device=device)

    @torch.no_grad()
    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        """Map the centres of the images' buckets, v = k + 1/2, to latents: (B, C, H, W) -> (B, D)."""
        self.check_batch(x, y)
        # The centre of the bucket, so that encoding draws nothing.
        z, _ = self.map(grey_levels(x) + 0.5, y)
        return finite(z, "latents")

    @torch.no_grad()
    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        """Map latents to images under the guidance, and take Gaussian noise off: (B, D) -> (B, C, H, W)."""
        self.check_labels(y, len(z))
        labels, away = self.guided(labels_of(y))
        v, _ = self.map(z, labels, reverse=True, away=away)
        v = self.dequantization.clean(v, lambda v: torch.stack(self.density(v, labels)).sum(0))
        return finite((v - 0.5) / 127.5 - 1, "images")

    def guided(self, y: Tensor | None) -> tuple[Tensor | None, Away | None]:
        """Return the labels (B,) or None that samples are drawn for, and what they are guided away from."""
        guidance = self.guidance
        if not isinstance(guidance, ClassifierFree) or guidance.scale == 1 or y is None:
            return y, None
        nothing = torch.full_like(y, guidance.null)
        return (y, Away(nothing, guidance.scale)) if guidance.scale else (nothing, None)

    def parts(self, x: Tensor, y: Y, seen: Conditioning = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return log p(z), log |det df/dv| and log q(u | x) of a batch x (B, C, H, W): (B,) nats each.
        seen: the labels that the flow is given, by default y; they may hold the null class of a guidance,
        which is no label of the data and unknown to the noise.
        """
        v, log_q = self.dequantization(grey_levels(x), y)
        return *self.density(v, y if seen is None else seen), log_q

    def density(self, v: Tensor, y: Y | Conditioning) -> tuple[Tensor, Tensor]:
        """Return log p(z) and log |det df/dv| of real numbers v (B, C, H, W): (B,) nats each."""
        z, log_det = self.map(v, y)
        assert log_det is not None  # it is on the way back alone
        return self.base.log_prob(z), log_det

    def map(
        self, x: Tensor, y: Y | Conditioning, *, reverse: bool = False, away: Away | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the flow or its inverse (see TwoWay) in plain float32: no autocast, and no TF32 on a GPU.

        (B, C, H, W) -> (B, D) and log_det (B,); reverse: back, without log_det, and guided where `away` is
        given.
        """
        with full_precision(x.device):
            return self.flow(x, y, reverse=reverse, away=away)

    def check_guidance(self) -> None:
        """Raise ValueError on a guidance that this flow cannot have."""
        guidance = self.guidance
        guidance.check(labels_of(self.example()[1]))
        if isinstance(guidance, Unguided):
            return
        if not isinstance(guidance, ClassifierFree) or not isinstance(self.flow.transform, Guidable):
            raise ValueError(
                f"guidance is {type(guidance).__name__}, which {type(self.flow.transform).__name__} cannot "
                "have: use guidance=none, or model=tarflow with guidance=classifier_free"
            )
        if (guidance.low, guidance.high) != (0, 1):
            raise ValueError(
                f"guidance.interval is {[guidance.low, guidance.high]}, a range of times, and a flow has "
                "none: leave it at [0, 1]"
            )

    @torch.no_grad()
    def check_inverse(self, x: Tensor, y: Y, step: int) -> None:
        """Every `check_every` steps, measure max |f^-1(f(v)) - v| as the flow is used: without dropout.

        Raises FloatingPointError where it exceeds the tolerance.
        """
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
    """Context in which no parameter of a module takes gradient, so that a forward pass stores no activations.

    Those that took gradient before do so again afterwards, also after an error.
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        # Restored even where the pass fails.
        for parameter in learned:
            parameter.requires_grad_(True)


def grey_levels(x: Tensor) -> Tensor:
    """k = 127.5 (x + 1) rounded to 0 .. 255, the grey levels of images in [-1, 1], as floats. Any shape."""
    return ((x + 1) * 127.5).round().clamp(0, 255)


def finite(values: Tensor, quantity: str) -> Tensor:
    """Return the values (B, ...) unchanged; raises FloatingPointError where one is not finite.

    quantity: the name of the values in the message.
    """
    if not bool(values.isfinite().all()):
        bad = int((~values.isfinite()).flatten(1).any(dim=1).sum())
        raise FloatingPointError(
            f"{quantity} of {bad} of {len(values)} are not finite: the flow has lost its inverse there; "
            "train at a lower optim.lr or coupling.bound"
        )
    return values
