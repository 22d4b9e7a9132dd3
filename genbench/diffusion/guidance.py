"""Guidance: estimates of x0 moved towards a class, further than the model's own conditioning does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.diffusion.process import LikelihoodProcess, Process
from genbench.diffusion.sampler import Denoised
from genbench.diffusion.schedule import Level
from genbench.diffusion.timed_network import times_for
from genbench.probability.differentiates import Differentiates
from genbench.runtime import global_batch
from genbench.text.condition import Conditioning, Encoded, Encoding

__all__ = [
    "Classifier",
    "ClassifierFree",
    "Extrapolation",
    "Guidance",
    "GuidedProcess",
    "LabelDenoiser",
    "Unguided",
]

LabelDenoiser = Callable[[Tensor, Tensor, Conditioning], Denoised]
"""(xt (B, C, H, W), t (B,) or, of all images, (1,), labels y (B,), B encoded texts or None) -> Denoised."""


class Guidance(nn.Module, ABC):
    """A change of the estimates that a sampler is given, and of the training that it needs; abstract.

    The variance of a reverse step is that of the model's own estimate for its label, without guidance.
    """

    phases: tuple[str, ...] = ()
    """Training phases beside the network's own."""

    def check(self, y: Conditioning) -> None:
        """Raise ValueError where a model of this condition cannot be guided so; y: that of one image. Called
        when the model is built; by default any can.
        """

    def check_process(self, process: Process, x0: Tensor) -> None:
        """Raise ValueError where the samples of a process, images as x0 (1, C, H, W), cannot be guided so;
        called when the model is built. By default those of any can.
        """

    def networks(self) -> list[nn.Module]:
        """Return the networks that the guidance calls beside the model's own; all modules in it, by
        default.
        """
        return list(self.children())

    def labels(self, y: Conditioning) -> Conditioning:
        """Return the condition that the network is trained with, given the images' own: B labels, B encoded
        texts or None.

        By default the same; some may be replaced by the null class or the empty text.
        """
        return y

    def at(self, t: float) -> "Guidance":
        """Return the guidance that applies at time t: itself, unless it depends on time.

        t is a number on the host, so that no step waits for a device to decide between one pass and two.
        """
        return self

    @abstractmethod
    def guide(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning, at: Level) -> Denoised:
        """Return the guided estimate at xt (B, C, H, W) and t, for B labels or encoded texts y, or None.

        t: (B,), or (1,) where it is the time of all images, as in every step of a sampler. at: signal and
        noise of xt, each (B, 1, 1, 1) or (1, 1, 1, 1). denoise: the model, one pass of its network each call.
        """


class Unguided(Guidance):
    """No guidance: the model's own estimate for its label, in one pass of the network.

    Also the guidance of classifier-free models at times outside their interval.
    """

    def guide(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning, at: Level) -> Denoised:
        return denoise(xt, t, y)


class GuidedProcess(LikelihoodProcess):
    """A process whose estimates of x0 a guidance changes while samples are drawn; abstract.

    guidance: the change, a module, since it may have networks of its own.
    """

    guidance: Guidance

    @abstractmethod
    def denoise(self, network: nn.Module, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        """Return the model's own estimate of x0 at xt (B, C, H, W) for labels y, without guidance.

        t: (B,), or (1,) where it is the time of all images. One pass of the network; float32.
        """

    def check_network(self, network: nn.Module, x0: Tensor, y: Conditioning) -> None:
        self.guidance.check(y)
        self.guidance.check_process(self, x0)

    def networks(self) -> list[nn.Module]:
        return self.guidance.networks()


class Extrapolation(Guidance):
    """x0 = x0_w + s (x0_own - x0_w): away from a worse estimate x0_w, which a subclass makes; abstract.

    s = 1 is the model itself, s = 0 the worse estimate, one pass of a network each; any other takes both.
    scale: s. interval: the times t in which s holds; outside of them it is 1.
    Raises ValueError on numbers outside their range. Source of the interval: Kynkaanniemi et al. 2024.
    """

    def __init__(self, *, scale: float, interval: Sequence[float]) -> None:
        super().__init__()
        check_scale(scale)
        if len(interval) != 2 or not 0 <= interval[0] < interval[1] <= 1:
            raise ValueError(
                f"guidance.interval is {list(interval)}; it must be two rising times in [0, 1], e.g. [0, 1]"
            )
        self.scale = scale
        self.low, self.high = interval

    def at(self, t: float) -> Guidance:
        return self if self.low <= t <= self.high else Unguided()

    @abstractmethod
    def worse(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        """Return the worse estimate at xt (B, C, H, W) and t (B,) by one pass of a network."""

    def guide(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning, at: Level) -> Denoised:
        # One pass where one estimate has no weight.
        if self.scale == 1:
            return denoise(xt, t, y)
        worse = self.worse(denoise, xt, t, y)
        if self.scale == 0:
            return worse
        own = denoise(xt, t, y)
        return own._replace(x0=worse.x0 + self.scale * (own.x0 - worse.x0))


class ClassifierFree(Extrapolation):
    """eps = eps_u + s (eps_c - eps_u), where eps_u is the model's answer to the null class or the empty text.

    The same holds for x0, which is affine in eps. s = 1 is the conditional model, s = 0 the unconditional
    one, one pass of the network each; any other takes both in one pass of a batch twice as large.
    num_classes: 0 for a model of text. scale: s. p_uncond: share of training images whose label or text is
    replaced by the null class, or the empty text.
    interval: the times t in which s holds; outside of them it is 1.
    Raises ValueError on numbers outside their range; `check` where the model has neither classes nor text.
    Source: Ho & Salimans 2022, Eq. 6 (their w is s - 1); interval: Kynkaanniemi et al. 2024.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        scale: float = 2.0,
        p_uncond: float = 0.1,
        interval: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__(scale=scale, interval=interval)
        if not 0 < p_uncond < 1:
            raise ValueError(f"guidance.p_uncond is {p_uncond}; it must be between 0 and 1, e.g. 0.1")
        # Classes are 0 .. K - 1; the null class takes the number K, so that the network has K + 1 embeddings.
        self.null, self.p_uncond = num_classes, p_uncond

    def check(self, y: Conditioning) -> None:
        if y is None:
            raise ValueError(
                "guidance=classifier_free needs classes or text, and the model is unconditional: set "
                "conditional=true, or text=small with data that have captions"
            )

    def labels(self, y: Conditioning) -> Conditioning:
        if y is None:
            return None
        dropped = global_batch.uniform(len(y), device=y.device) < self.p_uncond
        return y.dropped(dropped) if isinstance(y, Encoded) else y.masked_fill(dropped, self.null)

    def nothing(self, y: Conditioning) -> Conditioning:
        """Return the null condition of as many images: the null class, the empty text, or None."""
        if isinstance(y, Encoded):
            return y.null()
        return None if y is None else torch.full_like(y, self.null)

    def worse(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        return denoise(xt, t, self.nothing(y))

    def guide(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning, at: Level) -> Denoised:
        if self.scale in (0, 1) or y is None:
            return super().guide(denoise, xt, t, y, at)
        # Both estimates in one pass: of small batches it takes little longer than one of them.
        n, times = len(xt), t if len(t) == 1 else torch.cat([t, t])
        both = denoise(torch.cat([xt, xt]), times, joined(self.nothing(y), y))
        worse, own = both.x0[:n], both.x0[n:]
        return Denoised(worse + self.scale * (own - worse), both.variance.rows(slice(n, None)))


def joined(first: Conditioning, second: Conditioning) -> Conditioning:
    """Put the conditions of two batches one after the other: labels, or encoded texts of the same length."""
    if isinstance(first, Encoded) and isinstance(second, Encoded):
        parts = (torch.cat(pair) for pair in zip(first.own, second.own, strict=True))
        return Encoded(Encoding(*parts), second.empty)
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    return torch.cat([first, second])


class Classifier(Guidance, Differentiates):
    """eps - s sigma grad log p(y | xt), or x0 + s sigma^2 / alpha grad log p(y | xt).

    classifier: answers `classifier(xt (B, C, H, W), t (B,)) -> logits (B, K)` at every level of noise; unless
    its weights are frozen, it is trained in a phase of its own, "classifier", beside the network.
    scale: s, at least 0. noised: False for a classifier that knows clean images alone and is asked without t:
    log p(y | x0_hat(xt)) takes the place of log p(y | xt), its gradient by xt goes through the network too.
    It is exact where data are Gaussian and log p(y | x0) is linear; elsewhere it takes the mean of x0 for x0.
    Raises ValueError without classes, and where a classifier of clean images would have to be trained.
    Source: Dhariwal & Nichol 2021, Algorithm 2; of clean images: Bansal et al. 2023, Eq. 6.
    """

    def __init__(
        self, num_classes: int, classifier: nn.Module, *, scale: float = 2.0, noised: bool = True
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        check_scale(scale)
        self.classifier, self.scale, self.noised = classifier, scale, noised
        if any(p.requires_grad for p in classifier.parameters()):
            self.phases = ("classifier",)
            if not noised:
                raise ValueError(
                    "guidance.noised=false takes a classifier as it is, and this one would be trained on "
                    "noised images: freeze its weights, or leave guidance.noised"
                )

    def check_logits(self, shape: tuple[int, int, int], num_classes: int) -> None:
        """Raise ValueError unless the classifier takes images of a shape (C, H, W) and answers (B, K) logits.

        Asked on the CPU with two images of zeros; its own error is the reason in the message.
        """
        name, takes = type(self.classifier).__name__, "(xt, t)" if self.noised else "(x0)"
        other = "guidance.noised=false for one of clean images" if self.noised else "guidance.noised=true"
        x = torch.zeros(2, *shape)
        try:
            with torch.no_grad():
                found = self.logits(x, torch.ones(2), x)
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"guidance.network is {name}, which cannot take {takes} of shape {shape}: {reason}; "
                f"it must, and answer logits (B, K): set {other}, or use another guidance_network"
            ) from error
        if found.shape != (2, num_classes):
            raise ValueError(
                f"guidance.network is {name}, which answers {tuple(found.shape)} for 2 images; it must be "
                f"(2, {num_classes}), a logit of each class of the data: use a classifier of this data"
            )

    def logits(self, xt: Tensor, t: Tensor, x0_hat: Tensor) -> Tensor:
        """Return the logits (B, K) float32 of noised images, or of the estimates of x0 that they have."""
        if self.noised:
            found: Tensor = self.classifier(xt, times_for(self.classifier, t.float(), len(xt)))
        else:
            found = self.classifier(x0_hat)
        return found.float()

    def check(self, y: Conditioning) -> None:
        if isinstance(y, Encoded):
            raise ValueError(
                "guidance=classifier knows classes, and the model takes text: use guidance=classifier_free"
            )

    def guide(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning, at: Level) -> Denoised:
        if self.scale == 0 or not isinstance(y, Tensor):
            return denoise(xt, t, y)
        leaf = xt.detach().requires_grad_()
        # Sampling runs without gradients, which a classifier of noised images needs of itself alone.
        with torch.set_grad_enabled(not self.noised):
            own = denoise(leaf, t, y)
        with torch.enable_grad():
            # The sum over the batch: each image's gradient depends on its own term alone.
            log_prob = -F.cross_entropy(self.logits(leaf, t, own.x0), y, reduction="sum")
            (gradient,) = torch.autograd.grad(log_prob, leaf)
        # eps - s sigma grad, written in x0 = (xt - sigma eps) / alpha.
        return own._replace(x0=own.x0.detach() + self.scale * at.sigma.square() / at.alpha * gradient)

    def loss(self, xt: Tensor, t: Tensor, y: Conditioning) -> dict[str, Tensor]:
        """Compute the classifier's loss -log p(y | xt) at noised images xt (B, C, H, W): (B,) under its name.

        Raises ValueError where y holds no labels.
        """
        if not isinstance(y, Tensor):
            raise ValueError("y holds no labels; a classifier needs labels (B,): set conditional=true")
        logits = self.logits(xt, t, xt)
        return {"cross_entropy": F.cross_entropy(logits, y, reduction="none")}


def check_classes(num_classes: int) -> None:
    """Raise ValueError unless the model has classes, which a classifier tells apart."""
    if num_classes < 1:
        raise ValueError(
            f"guidance=classifier needs classes, and num_classes is {num_classes}: set conditional=true, or "
            "guidance=classifier_free for a model of text"
        )


def check_scale(scale: float) -> None:
    """Raise ValueError unless scale >= 0."""
    if not scale >= 0:
        raise ValueError(f"guidance.scale is {scale}; it must be at least 0 (1: the model's own)")
