"""A family with all abilities that keeps every rule, and families that break one each."""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.generator import (
    Condition,
    FitsAfterTraining,
    ForwardProcess,
    Latent,
    Likelihood,
    Loss,
    Rng,
    Trajectory,
    Y,
    check_frames,
)
from genbench.probability.buckets import gaussian_log_prob
from genbench.runtime import global_batch


class Whole(Latent, Likelihood, Trajectory, ForwardProcess, FitsAfterTraining):
    """Independent Gaussian pixels x = mean + scale z, a row of parameters for each class."""

    bound: Literal["exact", "lower", "estimate"] = "exact"
    method = "independent pixels"
    inverts = True

    def __init__(self, shape: tuple[int, int, int] = (1, 8, 8), num_classes: int = 10) -> None:
        super().__init__(shape, num_classes)
        self.latent_shape = self.shape
        self.mean = nn.Parameter(torch.zeros(max(num_classes, 1), *self.shape))
        self.log_scale = nn.Parameter(torch.full((max(num_classes, 1), *self.shape), -1.0))
        self.register_buffer("seen", torch.zeros(()))

    def row(self, n: int, y: Tensor | None) -> Tensor:
        return torch.zeros(n, dtype=torch.int64, device=self.mean.device) if y is None else y

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_phase(phase)
        self.check_batch(x, y)
        total = -self.log_prob(x, y).mean() / x[0].numel()
        return Loss(total, {"nll": total.detach()})

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        row = self.row(len(x), y)
        return gaussian_log_prob(x, self.mean[row], self.log_scale[row]).flatten(1).sum(1)

    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        return torch.randn(n, *self.shape, generator=rng, device=self.mean.device)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_batch(x, y)
        row = self.row(len(x), y)
        return (x - self.mean[row]) / self.log_scale[row].exp()

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(z))
        row = self.row(len(z), y)
        return self.mean[row] + self.log_scale[row].exp() * z

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        check_frames(frames)
        z = self.prior(n, y, rng=rng)
        return torch.stack([self.decode(z * (k / (frames - 1)), y) for k in range(frames)])

    def noise_levels(self) -> tuple[Tensor, Tensor]:
        t = torch.linspace(0, 1, 11, dtype=torch.float64)
        return t, 1 - t

    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        check_frames(frames)
        noise = torch.randn(x.shape, generator=rng, device=x.device)
        times = [k / (frames - 1) for k in range(frames)]
        return torch.stack([(1 - t) ** 0.5 * x + t**0.5 * noise for t in times])

    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        self.seen.fill_(sum(len(x) for x, _ in batches))


class OtherDtype(Whole):
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        return Loss(total.double(), terms)


class NotANumber(Whole):
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        return Loss(total * torch.nan, terms)


class IdleParameter(Whole):
    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(3))


class Stagnant(Whole):
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        return Loss(total + 1000, terms)


class OwnNoise(Whole):
    """Noise that is not drawn for the whole batch."""

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_images(x)
        return super().loss(x + 0.1 * torch.randn_like(x), y, phase=phase, step=step)


class SharedNoise(Whole):
    """The same, drawn as it should be: it keeps all rules."""

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        self.check_images(x)
        return super().loss(x + 0.1 * global_batch.normal_like(x), y, phase=phase, step=step)


class Forgetful(Whole):
    """The loss depends on how many batches this object has seen, which no checkpoint has."""

    calls = 0

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        self.calls += 1
        return Loss(total * (1 + 0.5 * min(self.calls, 5) ** -1), terms)


class OtherDraws(Whole):
    """Draws from the default generator in place of the one that it is given."""

    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return super().prior(n, y)


class DrawsBeside(Whole):
    def prior(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        torch.rand(1)
        return super().prior(n, y, rng=rng)


class KeepsConstant(Whole):
    """A constant made when it is first needed, a tensor of inference mode where samples come first."""

    kept: Tensor | None = None

    def samples_without_gradients(self) -> bool:
        return True

    def one(self) -> Tensor:
        if self.kept is None:
            self.kept = torch.ones((), device=self.mean.device)
        return self.kept

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().log_prob(x, y) * self.one()

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().decode(z, y) * self.one()


class BlindToLabels(Whole):
    inverts = False

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_labels(y, len(z))
        return self.mean[:1] + self.log_scale[:1].exp() * z


class StateIncomplete(Whole):
    """A number that training sets, and that is no buffer."""

    shift = 0.0
    inverts = False

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        found = super().loss(x, y, phase=phase, step=step)
        self.shift += 0.1
        return found

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().decode(z, y) + self.shift


class AnyImages(Whole):
    def check_images(self, x: Tensor) -> None:
        """Accept everything."""


class AnyLabels(Whole):
    def check_labels(self, y: Tensor | None, n: int) -> None:
        """Accept everything."""


class OfText(Whole):
    """Pixels that the letters of a text make brighter; it keeps all rules of models of text."""

    takes_text = True

    def __init__(self) -> None:
        super().__init__(num_classes=0)
        self.letters = nn.Embedding(128, 1)

    def condition(self, texts: Sequence[str]) -> Condition:
        longest = max(map(len, texts))
        if longest > 20:
            raise ValueError(f"a text has {longest} tokens; this model takes at most 20: shorten it")
        rows = [[ord(letter) % 128 for letter in text.ljust(longest, "\0")] for text in texts]
        tokens = torch.tensor(rows, dtype=torch.int64).reshape(len(texts), longest)
        return Condition(tokens, tokens > 0)

    def row(self, n: int, y: Y) -> Tensor:
        return torch.zeros(n, dtype=torch.int64, device=self.mean.device)

    def brightness(self, y: Condition) -> Tensor:
        return (self.letters(y.tokens)[..., 0] * y.mask).sum(1)[:, None, None, None]

    def log_prob(self, x: Tensor, y: Y = None) -> Tensor:
        return super().log_prob(x - self.brightness(y), y)

    def encode(self, x: Tensor, y: Y = None) -> Tensor:
        self.check_batch(x, y)
        return super().encode(x - self.brightness(y), y)

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        return super().decode(z, y) + self.brightness(y)


class BlindToText(OfText):
    inverts = False

    def decode(self, z: Tensor, y: Y = None) -> Tensor:
        return Whole.decode(self, z, y)


class ReadsPadding(OfText):
    def brightness(self, y: Condition) -> Tensor:
        return self.letters(y.tokens)[..., 0].sum(1)[:, None, None, None]


class AnyPhase(Whole):
    def check_phase(self, phase: str) -> None:
        """Accept everything."""


class WrongSum(Whole):
    """One number for the whole batch."""

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().log_prob(x, y).mean()


class NoSteps(Whole):
    """Says that it integrates in steps, and has the same error with twice as many."""

    discretized = True


class SamplesElsewhere(Whole):
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        return super().sample(n, y, rng=rng) + 1


class FlatLatents(Whole):
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().encode(x, y).flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().decode(z.view(-1, *self.shape), y)


class NoInverse(Whole):
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().encode(x, y) + 0.1


class EndsElsewhere(Whole):
    def trajectory(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None, frames: int) -> Tensor:
        return super().trajectory(n, y, rng=rng, frames=frames).flip(0)


class BeginsElsewhere(Whole):
    def forward_process(self, x: Tensor, *, rng: Rng | None = None, frames: int) -> Tensor:
        return super().forward_process(x, rng=rng, frames=frames) + 1e-3


class OtherLevels(Whole):
    def noise_levels(self) -> tuple[Tensor, Tensor]:
        t, left = super().noise_levels()
        return t, left.square()


class FitMovesParameters(Whole):
    def fit(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        with torch.no_grad():
            self.mean += sum(len(x) for x, _ in batches)


class WithNetwork(Whole):
    """A network whose rounding to bfloat16 shows where `gap` is added: it is 0 in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Pair()

    def gap(self) -> Tensor:
        z = torch.linspace(1, 2, 16, device=self.mean.device)
        weight = self.net.layer.weight
        return (self.net(z)[0].float() - F.linear(z, weight)).square().sum()

    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        return Loss(total + 0.01 * self.net(x.flatten(1)[:, :16])[0].float().square().mean(), terms)


class Pair(nn.Module):
    """A layer whose answer is not one tensor, so that autocast leaves its dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.layer(x),)


class RoughLoss(WithNetwork):
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        return Loss(total + 1e5 * self.gap(), terms)


class RoughSamples(WithNetwork):
    def sample(self, n: int, y: Tensor | None = None, *, rng: Rng | None = None) -> Tensor:
        x = super().sample(n, y, rng=rng)
        return x.to(self.net(x.flatten(1)[:, :16])[0].dtype)


class RoughLikelihood(WithNetwork):
    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        found = super().log_prob(x, y)
        return found if self.training else found - 1e6 * self.gap()


class OnTheHost(Whole):
    """A tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.ones = torch.ones(1, 8, 8)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().decode(z, y) * self.ones


class Asks(Whole):
    def loss(self, x: Tensor, y: Tensor | None = None, *, phase: str = "net", step: int = 0) -> Loss:
        total, terms = super().loss(x, y, phase=phase, step=step)
        if not bool(total.isfinite()):
            raise FloatingPointError("the loss is not finite")
        return Loss(total, terms)
