"""The quantity that the network predicts, and how x0 and eps follow from it."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genbench.diffusion.posterior import Posterior, posterior
from genbench.diffusion.schedule import Level, Schedule

__all__ = ["X0", "EDMPreconditioning", "Eps", "Parameterization", "PosteriorMean", "Score", "StepLevel", "V"]


class Parameterization(ABC):
    """A linear function of (x0, eps) that the network predicts; abstract.

    Images are (B, C, H, W), `at` is the level of noise of xt. target, to_x0 and to_eps are inverses of each
    other at every t with 0 < alpha_bar < 1.
    """

    def level(self, schedule: Schedule, t: Tensor) -> Level:
        """Return the level of noise at times t (B,) that the other methods take, with all that they need.

        By default signal and noise alone; where the answer depends on the step before t, also that step.
        """
        return schedule.level(t)

    def network_input(self, xt: Tensor, at: Level) -> Tensor:
        """Return the input of the network for xt at its level: (B, C, H, W). By default xt itself."""
        return xt

    def answer(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """Return the predicted quantity of the network's output for xt: (B, C, H, W) twice -> (B, C, H, W).

        By default the output itself, in its own dtype; a network whose output would have another scale at
        each level of noise is helped by a fixed factor or a shift here.
        """
        return output

    @abstractmethod
    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        """Return what the network is to answer at xt = alpha x0 + sigma eps, all (B, C, H, W)."""

    @abstractmethod
    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """Return the x0 that follows from the network's answer at xt: (B, C, H, W) twice -> (B, C, H, W).

        float32; not finite where alpha = 0 and x0 does not follow from the answer.
        """

    @abstractmethod
    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        """Return the eps that follows from the network's answer at xt: (B, C, H, W) twice -> (B, C, H, W)."""

    @abstractmethod
    def gain(self, alpha_bar: Tensor) -> Tensor:
        """|x0 - x0_hat|^2 / |target - output|^2 at the same xt, in the shape of alpha_bar.

        Infinite where x0 does not follow from the answer. Raises ValueError where it depends on the step
        before t; `gain_of_step` serves every parameterization.
        """

    def gain_of_step(self, alpha_bar: Tensor, before: Tensor) -> Tensor:
        """Return the gain at alpha_bar, given alpha_bar one step of the grid earlier, in the same shape.

        By default `gain`, which needs the first alone.
        """
        return self.gain(alpha_bar)


class Eps(Parameterization):
    """The noise eps: x0 = (xt - sigma eps) / alpha, which needs alpha > 0 at t = 1.

    Source: Ho et al. 2020, Eq. 11 and 14.
    """

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return eps

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.sigma * output) / at.alpha

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar) / alpha_bar


class X0(Parameterization):
    """The data x0: eps = (xt - alpha x0) / sigma. Source: Salimans & Ho 2022, Section 4."""

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return x0

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt - at.alpha * output) / at.sigma

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return torch.ones_like(alpha_bar)


class V(Parameterization):
    """The velocity v = alpha eps - sigma x0: x0 = alpha xt - sigma v, eps = sigma xt + alpha v.

    Source: Salimans & Ho 2022, Section 4 and Appendix D.
    """

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return at.alpha * eps - at.sigma * x0

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return at.alpha * xt - at.sigma * output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return at.sigma * xt + at.alpha * output

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return 1 - alpha_bar


class Score(Parameterization):
    """The score grad log q(xt | x0) = -eps / sigma: x0 = (xt + sigma^2 score) / alpha, alpha > 0 at t = 1.

    scaled: the network's output is divided by sigma, so that it need not grow by 1 / sigma as the score does.
    The weight sigma^2 of the squared error (weighting=eps) then makes the loss that of Eps.
    Source: Song et al. 2021 (score SDE), Eq. 7; the weight: Song & Ermon 2019, Section 4.2; the division:
    Song & Ermon 2020, Technique 3. Apart from it: of xt at a variance that is preserved.
    """

    def __init__(self, *, scaled: bool = True) -> None:
        self.scaled = scaled

    def answer(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return output / at.sigma if self.scaled else output

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        return -eps / at.sigma

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return (xt + at.sigma.square() * output) / at.alpha

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return -at.sigma * output

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar).square() / alpha_bar


class StepLevel(Level):
    """A level of noise on the grid with the step back from it: signal, noise and the posterior at t - 1 / T.

    It unpacks into signal and noise, as every level does; the step is float64.
    """

    step: Posterior

    def __new__(cls, alpha: Tensor, sigma: Tensor, step: Posterior) -> "StepLevel":
        level = super().__new__(cls, alpha, sigma)
        level.step = step
        return level


class PosteriorMean(Parameterization):
    """The mean mu~ = c_0 x0 + c_t xt of the posterior one step back: x0 = (mu~ - c_t xt) / c_0.

    c_0 and c_t are `posterior`'s between t and t - 1 / T; times are rounded to the grid. At t = 1 / T mu~ is
    x0. Elsewhere c_0 is small (0.0016 at the least for the cosine schedule at T = 1000), so an error of the
    answer is one of x0 that is some hundred times as large.
    scaled: mu~ = xt + beta / sigma output, since mu~ differs from xt by little, about -beta / sigma eps: the
    network need not copy its input to a precision of c_0, nor hold it in bfloat16. Not in the source, whose
    network answers mu~ itself (scaled=False).
    Source: Ho et al. 2020, Section 3.2 and Table 2.
    """

    def __init__(self, *, scaled: bool = True) -> None:
        self.scaled = scaled

    def level(self, schedule: Schedule, t: Tensor) -> Level:
        # Rounded first, so that t and t - 1 / T are neighbours of the grid.
        k = torch.round(t.double() * schedule.T)
        return StepLevel(*schedule.level(t), posterior(*schedule.around(k / schedule.T)))

    def answer(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        if not self.scaled:
            return output
        return xt + step_of(at).beta.to(at.sigma.dtype) / at.sigma * output

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        of_x0, of_xt = self.coefficients(at)
        return of_x0 * x0 + of_xt * (at.alpha * x0 + at.sigma * eps)

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        of_x0, of_xt = self.coefficients(at)
        return (output - of_xt * xt) / of_x0

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        return X0().to_eps(self.to_x0(output, xt, at), xt, at)

    def gain(self, alpha_bar: Tensor) -> Tensor:
        raise ValueError("parameterization=mean needs the step before t: take the gain from `gain_of_step`")

    def gain_of_step(self, alpha_bar: Tensor, before: Tensor) -> Tensor:
        return posterior(alpha_bar, before).of_x0.square().reciprocal()

    def coefficients(self, at: Level) -> tuple[Tensor, Tensor]:
        """Return the factors c_0 and c_t of x0 and xt, (B, 1, 1, 1) each, in the dtype of the level."""
        step = step_of(at)
        return step.of_x0.to(at.alpha.dtype), step.of_xt.to(at.alpha.dtype)


def step_of(at: Level) -> Posterior:
    """Return the step back of a level. Raises ValueError where it has none, as one of Schedule.level."""
    if not isinstance(at, StepLevel):
        raise ValueError("parameterization=mean needs the step before t: take the level from its `level`")
    return at.step


class EDMPreconditioning(Parameterization):
    """x0 = c_skip y + c_out output, y = xt / alpha, s = sigma / alpha, the network sees c_in y.

    c_skip = d^2 / (s^2 + d^2), c_out = s d / sqrt(s^2 + d^2), c_in = 1 / sqrt(s^2 + d^2), d = sigma_data:
    inputs and targets of unit variance. At d = 1 it is the velocity's negative. Raises ValueError unless
    sigma_data > 0.
    Source: Karras et al. 2022, Eq. 7 and Table 1. Apart from it: written with xt = alpha y, which is finite
    at alpha = 0; the network's second input is t instead of ln(s) / 4.
    """

    def __init__(self, sigma_data: float = 0.5) -> None:
        if not sigma_data > 0:
            raise ValueError(f"parameterization.sigma_data is {sigma_data}; it must be above 0, e.g. 0.5")
        self.sigma_data = sigma_data

    def network_input(self, xt: Tensor, at: Level) -> Tensor:
        return xt / self.norm(at.alpha.square()).to(xt.dtype)

    def target(self, x0: Tensor, eps: Tensor, at: Level) -> Tensor:
        skip, out = self.coefficients(at)
        return (x0 - skip * (at.alpha * x0 + at.sigma * eps)) / out

    def to_x0(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        skip, out = self.coefficients(at)
        return skip * xt + out * output

    def to_eps(self, output: Tensor, xt: Tensor, at: Level) -> Tensor:
        # By way of x0: its own formula would divide by alpha.
        return X0().to_eps(self.to_x0(output, xt, at), xt, at)

    def gain(self, alpha_bar: Tensor) -> Tensor:
        return (1 - alpha_bar) * self.sigma_data**2 / self.norm(alpha_bar).square()

    def coefficients(self, at: Level) -> tuple[Tensor, Tensor]:
        """Return the factors of xt and of the answer in x0: c_skip / alpha and c_out, (B, 1, 1, 1) each."""
        # c_skip / alpha = d^2 alpha / (sigma^2 + alpha^2 d^2), c_out = sigma d / sqrt(sigma^2 + alpha^2 d^2).
        norm = self.norm(at.alpha.square())
        return self.sigma_data**2 * at.alpha / norm.square(), at.sigma * self.sigma_data / norm

    def norm(self, alpha_bar: Tensor) -> Tensor:
        """The standard deviation of xt, sqrt(sigma^2 + alpha^2 d^2), in the shape of alpha_bar."""
        return (1 - alpha_bar + alpha_bar * self.sigma_data**2).sqrt()
