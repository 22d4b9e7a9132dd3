"""Guidance away from the estimates of a worse model of the same kind."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genbench.diffusion.guidance import Extrapolation, GuidedProcess, LabelDenoiser, Unguided
from genbench.diffusion.process import Process
from genbench.diffusion.sampler import Denoised
from genbench.text.condition import Conditioning, Encoded

__all__ = ["AutoGuidance"]


class AutoGuidance(Extrapolation):
    """x0 = x0_0 + s (x0_1 - x0_0): the model's own estimate x0_1, away from that of a worse model of the same
    kind, x0_0, less trained or smaller, for the same label.

    network, process: of the worse model, which is not trained here. scale: s, the source's w; s = 1 is the
    model itself. interval: the times t in which s holds; outside of them it is 1.
    The worse model answers by its own parameterization: only the noise at each t must be that of the model.
    Raises ValueError on numbers outside their range; `check_process` where the two models do not fit.
    Source: Karras et al. 2024 (Guiding a Diffusion Model with a Bad Version of Itself).
    """

    def __init__(
        self,
        network: nn.Module,
        process: GuidedProcess,
        *,
        shape: tuple[int, int, int],
        scale: float = 2.0,
        interval: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__(scale=scale, interval=interval)
        self.network, self.process, self.shape = network, process, shape
        process.guidance = Unguided()  # its own, which no estimate here has

    def networks(self) -> list[nn.Module]:
        return [self.network]

    def check(self, y: Conditioning) -> None:
        if isinstance(y, Encoded):
            raise ValueError(
                "guidance=auto guides models of labels or of none, and this one takes text: use "
                "guidance=classifier_free"
            )

    def check_process(self, process: Process, x0: Tensor) -> None:
        shape = tuple(x0.shape[1:])
        if shape != self.shape:
            raise ValueError(
                f"the model of guidance.guide draws images of {self.shape}, and this one of {shape}: give a "
                "run on the same images (a model of latents has no such guide: use guidance=classifier_free)"
            )
        if type(process) is not type(self.process):
            raise ValueError(
                "the model of guidance.guide adds noise in another way than this one: give a run of the same "
                "model, ddpm or flow_matching, and of the same process"
            )
        if any(not name.startswith("guidance.") for name, _ in process.named_parameters()):
            raise ValueError(
                "guidance=auto compares two models at equal noise, and schedule=learned changes it in "
                "training: use another schedule in both runs"
            )
        levels, others = (each.noise_levels()[1] for each in (process, self.process))
        if levels.shape != others.shape or not torch.allclose(levels, others):
            raise ValueError(
                "the schedule of guidance.guide is another one, with other noise at the same t: give a run "
                "of the same schedule and its settings"
            )

    def worse(self, denoise: LabelDenoiser, xt: Tensor, t: Tensor, y: Conditioning) -> Denoised:
        return self.process.denoise(self.network, xt, t, y)
