"""Guidance by a worse model: its ends are the two models, it is a straight line in scale, and what does not
fit is refused.
"""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from genbench.app.autoguidance import autoguidance
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import ClassifierFree, Guidance
from genbench.diffusion.ode import Heun
from genbench.diffusion.pairing import Independent
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.process import Process
from genbench.diffusion.schedule import LinearSchedule
from genbench.families.diffusion import Diffusion
from genbench.metrics import PassCounter
from tests.toys import toy_model, toy_process, toy_text_model

Y = torch.tensor([0, 1, 2, 2])


def flow(guidance: Guidance | None = None) -> FlowMatching:
    guidance = guidance or ClassifierFree(3, scale=1.0)
    return FlowMatching(
        coupling=Independent(), times=StratifiedPathTimes(), solver=Heun(2), guidance=guidance
    )


def shaken(seed: int, process: Process, classes: int = 3) -> Diffusion:
    """A toy whose answers follow from a seed and the label."""
    model = toy_model(classes, process=process)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.network.parameters():
            if p.requires_grad:
                p.add_(0.2 * torch.randn(p.shape, generator=rng))
    return model.eval()


def guided(process: str, scale: float, *, worse: int = 1, classes: int = 3) -> Diffusion:
    """The toy of seed 0, guided by that of seed `worse`."""
    make = flow if process == "flow" else toy_process
    guide = shaken(worse, make(), classes)
    return shaken(0, make(guidance=autoguidance(classes, guide, scale=scale)), classes)


def samples(model: Diffusion, y: Tensor | None = Y) -> Tensor:
    return model.sample(4, y, rng=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("process", ["gaussian", "flow"])
def test_a_scale_of_one_is_the_model_itself_and_of_zero_the_guide_bit_for_bit(process: str) -> None:
    make = flow if process == "flow" else toy_process
    assert torch.equal(samples(guided(process, 1.0)), samples(shaken(0, make())))
    assert torch.equal(samples(guided(process, 0.0)), samples(shaken(1, make())))
    assert not torch.allclose(samples(guided(process, 2.0)), samples(guided(process, 1.0)))


def test_a_model_guided_by_itself_is_itself_at_every_scale() -> None:
    assert torch.allclose(
        samples(guided("gaussian", 3.0, worse=0)), samples(guided("gaussian", 1.0)), atol=1e-5
    )


@pytest.mark.parametrize("classes", [0, 3])
def test_the_estimate_is_a_straight_line_in_scale(classes: int) -> None:
    xt, t = torch.randn(4, 1, 4, 4), torch.full((4,), 0.5, dtype=torch.float64)
    y = Y if classes else None
    found = []
    for scale in (0.0, 1.0, 2.5):
        model = guided("gaussian", scale, classes=classes)
        own, at = partial(model.process.denoise, model.network), model.process.schedule.level(t)
        with torch.no_grad():
            found.append(model.process.guidance.guide(own, xt, t, y, at).x0)
    worse, own, line = found
    assert torch.allclose(line, worse + 2.5 * (own - worse), atol=1e-6)


@pytest.mark.parametrize(("scale", "passes"), [(1.0, 5), (2.0, 10)])
def test_the_passes_of_both_models_count(scale: float, passes: int) -> None:
    model = guided("gaussian", scale)
    with PassCounter(model.networks()) as counter:
        samples(model)
    assert counter.passes(len(Y)) == passes


def test_the_guide_learns_nothing_and_is_part_of_the_state() -> None:
    model = guided("gaussian", 2.0)
    learned = {id(p) for p in model.phase_parameters("net")}
    guide = list(model.process.guidance.parameters())
    assert guide
    assert not learned & {id(p) for p in guide}
    assert any(name.startswith("process.guidance.network.") for name in model.state_dict())


def linear(guidance: Guidance | None = None) -> Process:
    return toy_process(schedule=LinearSchedule(50), guidance=guidance)


@pytest.mark.parametrize(
    ("guide", "message"),
    [
        (
            lambda: shaken(1, flow()),
            "the model of guidance.guide adds noise in another way than this one: give",
        ),
        (lambda: shaken(1, linear()), "schedule of guidance.guide is another one"),
        (lambda: shaken(1, toy_process(), 0), "guidance.guide has 0 classes, and this model 3"),
        (lambda: toy_text_model(), "guidance.guide is a model of text"),
        (lambda: nn.Identity(), "guidance.guide is no model of diffusion or flow matching, and no other can"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused_with_what_differs(guide: object, message: str) -> None:
    assert callable(guide)
    with pytest.raises(ValueError, match=message):
        shaken(0, toy_process(guidance=autoguidance(3, guide())))


def test_a_guide_of_other_images_is_refused() -> None:
    guidance = autoguidance(0, shaken(1, toy_process(), 0))
    with pytest.raises(ValueError, match=r"draws images of \(1, 4, 4\), and this one of \(1, 8, 8\)"):
        guidance.check_process(toy_process(), torch.zeros(1, 1, 8, 8))
