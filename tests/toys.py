"""Toys that several test files share."""

from collections.abc import Sequence

import torch

from genbench.config.option_folders import CONF
from genbench.diffusion.density import Bound, Density
from genbench.diffusion.gaussian import GaussianDiffusion
from genbench.diffusion.guidance import Guidance, Unguided
from genbench.diffusion.objective import L2, Objective
from genbench.diffusion.parameterization import Parameterization, V
from genbench.diffusion.process import Process
from genbench.diffusion.sampler import DDIM, Sampler
from genbench.diffusion.schedule import CosineSchedule, Schedule
from genbench.diffusion.times import Stratified, Times
from genbench.diffusion.variance import BetaTilde, Variance
from genbench.diffusion.weighting import Unweighted, Weighting
from genbench.families.diffusion import Diffusion
from genbench.nn.unet import UNet
from genbench.text.small import SmallEncoder


def trained_here() -> list[str]:
    """The models that are trained here: those whose options need no path of the user's."""
    files = sorted((CONF / "model").glob("*.yaml"))
    return [path.stem for path in files if "???" not in path.read_text()]


TINY = (
    "network.width=8",
    "network.blocks=1",
    "budget.images=512",
    "sampler.steps=3",
    "trainer.sample_every_images=null",
    "metrics.samples=64",
    "tracker=jsonl",
    "device=cpu",
    "precision=fp32",  # the same numbers on machines with and without bfloat16 units
)
"""Overrides with which a run takes seconds."""


def toy_process(
    *,
    schedule: Schedule | None = None,
    parameterization: Parameterization | None = None,
    objective: Objective | None = None,
    weighting: Weighting | None = None,
    variance: Variance | None = None,
    times: Times | None = None,
    sampler: Sampler | None = None,
    guidance: Guidance | None = None,
    density: Density | None = None,
) -> GaussianDiffusion:
    """A Gaussian process of 50 steps, any part of it exchanged."""
    return GaussianDiffusion(
        schedule=schedule or CosineSchedule(50),
        parameterization=parameterization or V(),
        objective=objective or L2(),
        weighting=weighting or Unweighted(),
        variance=variance or BetaTilde(),
        times=times or Stratified(),
        sampler=sampler or DDIM(5),
        guidance=guidance or Unguided(),
        density=density or Bound(5),
    )


def toy_model(num_classes: int = 0, *, seed: int = 0, process: Process | None = None) -> Diffusion:
    """A DDPM on 4x4 images that trains in milliseconds."""
    process = process or toy_process()
    answers = process.variance.answers if isinstance(process, GaussianDiffusion) else 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet((1, 4, 4), num_classes, width=8, blocks=1, patch=1, multipliers=[1], answers=answers)
        return Diffusion((1, 4, 4), num_classes, network=network, process=process)


def toy_text_model(
    captions: Sequence[str] = ("top bottom",),
    *,
    length: int = 8,
    side: int = 4,
    process: Process | None = None,
) -> Diffusion:
    """A DDPM on small images, conditional on text, that knows the words of some captions, with random weights
    from which no answer is 0.
    """
    shape = (1, side, side)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet(shape, width=8, blocks=1, patch=1, multipliers=[1], context=8)
        text = SmallEncoder(width=8, layers=1, heads=2, words=32, length=length)
        model = Diffusion(shape, 0, network=network, process=process or toy_process(), text=text)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    model.learn_words(captions)
    return model.eval()
