"""The figures of docs/families/ show what a model does, and are the same whenever they are drawn."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from docs_tools.figures.data_flow import draw
from docs_tools.figures.stages import FAMILIES
from docs_tools.figures.trace import Block, blocks, collapsed, parameters, recorded
from genbench import app
from genbench.config.groups import options
from tests.conftest import Make
from tests.toys import toy_model, trained_here

MOST_BYTES, PIXELS_ACROSS = 150_000, 1440


def images() -> torch.Tensor:
    return torch.rand(3, 1, 4, 4) * 2 - 1


def test_a_figure_is_small_and_the_same_each_time(tmp_path: Path) -> None:
    x = images()
    for name in ("first.png", "second.png"):
        draw(toy_model(), x, FAMILIES["ddpm"], tmp_path / name)
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    assert len(first) < MOST_BYTES
    with Image.open(tmp_path / "first.png") as drawn:
        assert drawn.width == PIXELS_ACROSS
        assert len(drawn.convert("RGB").getcolors(256) or []) > 20


def test_the_blocks_of_a_network_have_all_of_its_parameters() -> None:
    model = toy_model()
    with recorded(model) as calls:
        model.loss(images())
    found = blocks(model.network, calls)
    assert sum(block.parameters for block in found) == parameters(model.network)
    assert found[-1].shape == (3, 1, 4, 4)


def test_calls_are_recorded_inside_the_context_alone() -> None:
    layer = nn.Linear(2, 3)
    with recorded(layer) as calls:
        layer(torch.zeros(4, 2))
    layer(torch.zeros(4, 2))
    (call,) = calls
    assert (call.takes[0].shape, call.gives[0].shape) == ((4, 2), (4, 3))


def test_blocks_that_repeat_are_counted_once() -> None:
    pair = [Block("steps.0", "Norm", 1, (2, 4)), Block("steps.1", "Coupling", 10, (2, 4))]
    norm, coupling, last = collapsed([*pair, *pair, *pair, Block("last", "Flatten", 0, (2, 4))])
    assert (norm.times, norm.parameters) == (3, 3)
    assert (coupling.times, coupling.parameters) == (3, 30)
    assert last.times == 1


def test_every_family_has_a_figure() -> None:
    assert sorted(FAMILIES) == options("model")
    for family in FAMILIES:
        path = Path(__file__).parents[1] / "docs" / "img" / f"{family}.png"
        assert path.stat().st_size < MOST_BYTES, path


@pytest.mark.slow
@pytest.mark.parametrize("family", trained_here())
def test_the_figure_of_each_family_can_be_drawn(family: str, made: Make, tmp_path: Path) -> None:
    model = app.load(made(f"model={family}"), device="cpu")
    assert FAMILIES[family].training.keys() == set(model.phases)
    draw(model, torch.rand(3, 1, 8, 8) * 2 - 1, FAMILIES[family], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size < MOST_BYTES
