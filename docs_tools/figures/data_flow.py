"""The figure of one model: a row for each training phase, one for sampling, and the parts of its networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from docs_tools.figures.canvas import HEIGHT, SAMPLES, Box, Canvas, Column, Item, picture, shape_text
from docs_tools.figures.stages import Shown, Stages
from docs_tools.figures.trace import Block, Call, blocks, parameters, recorded
from genbench.autoregressive.network import TokenNetwork
from genbench.generator import Decodes, Generator, Trajectory, frame_indices

__all__ = ["at_work", "draw"]

FRAMES, SEED = 7, 0
MOST_KINDS = 7
"""Blocks of a network beside which there is room for the names of their classes."""
MIDWAY = 0.5
"""Share of the budget at which a loss that changes during training is shown."""


def draw(model: Generator, x: Tensor, stages: Stages, path: Path) -> None:
    """Draw the data flow of a model and write it to a PNG file, the same for the same model and images.

    x: images (B, C, H, W) in [-1, 1], the first three of which are shown. Shapes, parameters, tensors and
    numbers of passes are those of the model at work. The model is put into evaluation mode.
    """
    model.eval()
    phases = list(dict.fromkeys(model.phases))
    canvas = Canvas((len(phases) + 1) * (HEIGHT + 0.7) + 1.8 * max(len(stages.inside), 1))
    calls = list[Call]()
    for phase in phases:
        items, found = training_row(model, x[:SAMPLES], phase, stages)
        canvas.row(f"Training, {stages.titles.get(phase, 'one batch')}", items)
        calls += found
    title, items = sampling_row(model, stages)
    canvas.row(title, items)
    for name in stages.inside:
        network = model.get_submodule(name)
        inside(canvas, name, network, blocks(network, calls))
    canvas.save(path)


def training_row(model: Generator, x: Tensor, phase: str, stages: Stages) -> tuple[list[Item], list[Call]]:
    """Compute the loss of one batch, and return what a row shows of it, with all calls of modules."""
    torch.manual_seed(SEED)
    model.begin_step(MIDWAY)
    with recorded(model) as calls:
        loss = model.loss(x, phase=phase, step=0)
    shown = stages.training[phase]
    items: list[Item] = [] if shown[0].alone else [column(stages.data, x)]
    for one in shown:
        call = [call for call in calls if call.name == one.module][one.call]
        items += module_items(model, one, call, plus=one.alone and bool(items))
    terms = [f"{name} {float(value):.3g}" for name, value in list(loss.terms.items())[:3]]
    return [*items, Box(["loss", *terms], is_module=False)], calls


def module_items(model: Generator, one: Shown, call: Call, *, plus: bool) -> Iterator[Item]:
    """Yield a module's input, where it is shown, its box, its output, and what follows from that."""
    if one.takes:
        notes = [f"{one.time} = {float(t):.2f}" for t in call.takes[1]] if one.time else ()
        yield column(one.takes, call.takes[0], notes=notes, plus=plus)
    yield module_box(call.name, call.module)
    if one.gives:
        answer = call.gives[one.output]
        # Answers for tokens are logits: their probabilities are what is learned.
        is_law = isinstance(call.module, TokenNetwork)
        yield column(one.gives, answer, values=answer.softmax(-1).sqrt() if is_law else answer)
    if one.estimate is not None:
        yield column(one.estimates, one.estimate(model, call))


def sampling_row(model: Generator, stages: Stages) -> tuple[str, list[Item]]:
    """Draw samples, and return the title and the items of the row that shows how they come about."""
    with recorded(model) as calls:
        samples = model.sample(SAMPLES, rng=seeded())
    called = list(dict.fromkeys(call.module for call in calls))
    networks = sorted((n for n in model.networks() if n in called), key=called.index)
    names = {module: name for name, module in model.named_modules()}
    passes = [sum(call.module is network for call in calls) for network in networks]
    parts = [at_work(network, called) for network in networks]
    boxes = [module_box(names[part], part, times) for part, times in zip(parts, passes, strict=True)]
    total = sum(passes)
    title = f"Sampling, {total} network evaluation{'s' if total > 1 else ''} per sample"
    # What draws step by step: the model, or its prior.
    if isinstance(model, Trajectory):
        return title, steps(model, stages.latent, boxes, "$x$ and states on the way to it")
    for prior in model.children():
        if isinstance(prior, Trajectory):
            walk = steps(prior, stages.latent, boxes[:1], "states on the way")
            return title, [*walk, *boxes[1:], column("$x$", samples)]
    if isinstance(model, Decodes):
        z = model.prior(SAMPLES, rng=seeded())
        return title, [column(stages.latent, z), *boxes, column("$x$", samples), between(model)]
    # A model from elsewhere shows its states by what its network takes, pass by pass.
    states = [call.takes[0] for call in calls if call.module is networks[0]]
    shown = [states[k] for k in frame_indices(len(states), FRAMES)]
    way = strip("states on the way", torch.stack(shown[1:]))
    return title, [column(stages.latent, states[0]), *boxes, way, column("$x$", samples)]


def at_work(network: nn.Module, called: Sequence[nn.Module]) -> nn.Module:
    """Return the one part of a network that sampling calls, such as a decoder, else the network."""
    inner = {module for module in network.modules() if module in called} - {network}
    for part in network.children():
        if inner and inner <= set(part.modules()) and parameters(part) < parameters(network):
            return part
    return network


def steps(model: Trajectory, latent: str, boxes: Sequence[Box], symbol: str) -> list[Item]:
    """Return the start of a walk, the networks that take its steps, and some states on the way."""
    frames = min(FRAMES, sum(box.times for box in boxes) + 1)  # no state is shown twice
    states = model.trajectory(SAMPLES, rng=seeded(), frames=frames)
    return [column(latent, states[0]), *boxes, strip(symbol if frames > 2 else "$x$", states[1:])]


@torch.no_grad()
def between(model: Decodes) -> Column:
    """Decode latents on the line between two, for as many pairs as there are samples."""
    first, second = model.prior(2 * SAMPLES, rng=seeded()).chunk(2)
    ways = [model.decode(torch.lerp(first, second, k / (FRAMES - 1))) for k in range(FRAMES)]
    return strip("$x$ on the way from one $z$ to another", torch.stack(ways), plus=True)


def strip(symbol: str, states: Tensor, *, plus: bool = False) -> Column:
    """Put states (frames, n, C, H, W) side by side, a sample a row."""
    images = states.shape[2] in (1, 3)
    ends = (None, None) if images else (float(states.min()), float(states.max()))
    rows = []
    for sample in states.unbind(1):
        parts = [picture(state, low=ends[0], high=ends[1]) for state in sample]
        white = np.full_like(parts[0][:, :1], 255)
        rows.append(np.concatenate([part for p in parts for part in (p, white)][:-1], axis=1))
    return Column(symbol, rows, shape_text(states[0].shape), plus=plus)


def column(
    symbol: str,
    tensor: Tensor,
    *,
    values: Tensor | None = None,
    notes: Sequence[str] = (),
    plus: bool = False,
) -> Column:
    """Return a column of the first samples of a tensor (B, ...); values: what is drawn in its place."""
    drawn = (tensor if values is None else values)[:SAMPLES]
    if drawn.dim() == 1:  # a number an image
        blank = np.full((1, 1), 236, np.uint8)
        return Column(symbol, [blank] * len(drawn), "B", [f"{float(v):.2f}" for v in drawn], plus)
    whole = drawn.dtype is torch.int64
    ends = (0.0, float(tensor.max())) if whole else (None, None)
    pictures = [picture(v[None] if whole else v, low=ends[0], high=ends[1]) for v in drawn]
    return Column(symbol, pictures, shape_text(tensor.shape), notes, plus)


def module_box(name: str, module: nn.Module, times: int = 1) -> Box:
    """Return the box of a module of the model: its name, its owner, its class and its parameters."""
    owner, _, own = name.rpartition(".")
    count = parameters(module)
    lines = [own, *([f"of {owner.partition('.')[0]}"] if owner else []), type(module).__name__]
    return Box([*lines, f"{count:,} param." if count else "no parameters"], times)


def inside(canvas: Canvas, name: str, network: nn.Module, found: Sequence[Block]) -> None:
    """Draw the blocks of a network with their outputs and parameters; a bar's size is that of the output."""
    title = f"Inside {name}: {type(network).__name__}, {parameters(network):,} parameters"
    widest = max(block.shape[1] for block in found)
    tallest = max([block.shape[-1] for block in found if len(block.shape) == 4], default=1)
    names, sizes = [], []
    for block in found:
        kind = [block.kind] if len(found) <= MOST_KINDS else []
        times = [f"{block.times} times"] if block.times > 1 else []
        shape = " ".join(map(str, block.shape[1:]))
        own = short(block.name.removeprefix(f"{name}."))
        names.append([own, *kind, shape, thousands(block.parameters), *times])
        height = block.shape[-1] / tallest if len(block.shape) == 4 else 0.2
        sizes.append(((block.shape[1] / widest) ** 0.5, height))
    canvas.bars(title, names, sizes)


def short(name: str) -> str:
    """Shorten a path of a module to its last two parts."""
    return ".".join(name.split(".")[-2:])


def thousands(count: int) -> str:
    """Write a number of parameters in a few characters: 160, 6.8k, 1.2M."""
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def seeded() -> torch.Generator:
    """Return the generator that all figures draw from, on the CPU."""
    return torch.Generator().manual_seed(SEED)
