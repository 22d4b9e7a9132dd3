"""Pieces of one training step: its batch, the parameters that learn, the update of the weights, restored
random numbers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.data import ImageData, Split, mirrored, to_float
from genbench.generator import Condition, Generator, Y
from genbench.runtime import rng
from genbench.training.loss_scale import LossScaler

__all__ = [
    "Start",
    "add_gradient",
    "captions_of",
    "held",
    "is_fused",
    "model_batch",
    "only",
    "others",
    "rates",
    "read_captions",
    "restore",
    "step_batches",
    "update",
]


class Start:
    """The state in which every part of a batch begins: torch's random numbers and the values of buffers.

    Each part draws for the whole batch, and retains its rows, so that all parts together draw what the whole
    batch would. Buffers that every forward pass updates, such as those of spectral normalisation, take the
    same values in each part.
    device: whose generator, beside the CPU's, is saved. buffers: those that a forward pass updates.
    """

    def __init__(self, device: torch.device, buffers: Sequence[Tensor]) -> None:
        self.device, self.stream = device, rng.state(device)
        self.buffers, self.values = buffers, [buffer.clone() for buffer in buffers]

    @torch.no_grad()
    def restore(self) -> None:
        """Set torch's generators and the buffers back to the state in which this object was made, before each
        part of a batch: so all parts draw, and update buffers, alike.
        """
        rng.restore(self.stream, self.device)
        for buffer, value in zip(self.buffers, self.values, strict=True):
            buffer.copy_(value)


def model_batch(
    model: Generator, split: Split, index: Tensor, device: torch.device, *, flip: bool = False
) -> tuple[Tensor, Y]:
    """Gather what a model takes of the images at index (B,) int64: x (B, C, H, W) float32 in [-1, 1] in the
    layout channels_last, and y: their labels (B,) int64, their captions, None for an unconditional model.

    flip: mirror each image with probability 1/2, by torch's default generator.
    """
    return next(step_batches(model, split, [index], device, flip=flip))


def step_batches(
    model: Generator,
    split: Split,
    indices: Sequence[Tensor],
    device: torch.device,
    *,
    flip: bool = False,
    gathered: tuple[Tensor, Tensor | None] | None = None,
) -> Iterator[tuple[Tensor, Y]]:
    """Gather what a model takes of several batches at once, whose images are at indices, (B,) int64 each, and
    yield one after another, as `model_batch` returns it; one is mirrored when it is asked for.
    gathered: images and labels of all of them, as `Split.gather` returns them, where they are there already.
    """
    whole = indices[0] if len(indices) == 1 else torch.cat(list(indices))
    images, labels = split.gather(whole, device) if gathered is None else gathered
    # As bytes: a quarter of the memory that floats would move.
    floats = to_float(images.contiguous(memory_format=torch.channels_last)).chunk(len(indices))
    for number, (index, x) in enumerate(zip(indices, floats, strict=True)):
        y: Y = None
        if model.takes_text:
            y = captions_of(split, index, device)
        elif model.num_classes and labels is not None:
            y = labels[number * len(index) : (number + 1) * len(index)]
        x = mirrored(x) if flip else x
        yield x.contiguous(memory_format=torch.channels_last), y


def read_captions(model: Generator, data: ImageData) -> None:
    """Have a model that takes text turn the captions of all splits into tokens, which `model_batch` gathers
    from then on; nothing is done for other models. Raises ValueError where the images have no captions, and
    on one that is too long.
    """
    if not model.takes_text:
        return
    if data.train.captions is None:
        raise ValueError(f"the model takes text, and {data.name} has no captions: choose data that have")
    data.set_conditions(model.condition)


def captions_of(split: Split, index: Tensor, device: torch.device) -> Condition:
    """Gather the captions of the images at index (B,) int64, as `read_captions` has set them, on `device`."""
    assert split.conditions is not None, "read_captions was not called"
    rows = split.conditions[index.cpu()]
    return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows.to(device)


def update(
    optimizer: Optimizer,
    lr_factor: float | Tensor,
    clip_norm: float | None,
    loss: Tensor,
    scaler: LossScaler | None = None,
    skip_norm: float | None = None,
) -> Tensor:
    """Clip, step and clear the gradients; returns their norm before clipping, (), on the device.
    lr_factor: of the learning rate; () on the device where a CUDA graph is to read it.
    scaler: of the loss whose gradients these are; they are unscaled first, and its scale is updated.
    skip_norm: the norm from which on an update is skipped; None: never.

    Where one is skipped, or the loss, (), or the norm is not finite, weights and optimizer remain as they
    are. On a GPU the flag is read by the fused kernels on the device itself, so that no step waits for it (it
    is what torch's GradScaler uses). Optimizers without fused kernels do wait.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    gradients: list[Tensor] = [p.grad for p in parameters]
    if scaler is not None:
        scaler.unscale(gradients)
    norm = total_norm(gradients, loss)
    if clip_norm is not None:
        clip(gradients, clip_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * lr_factor
    if loss.device.type != "cpu" and is_fused(optimizer):
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        optimizer.found_inf = (~admitted(loss, norm, skip_norm)).float()  # type: ignore[attr-defined]
        optimizer.step()
    elif read_admitted(loss, norm, skip_norm):
        optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return norm if scaler is None else scaler.update(loss, norm)


def is_fused(optimizer: Optimizer) -> bool:
    """Return True where torch's fused kernels update all weights: they read on the device itself whether an
    update may be made.
    """
    return all(group.get("fused") for group in optimizer.param_groups)


@torch.no_grad()
def total_norm(gradients: list[Tensor], loss: Tensor) -> Tensor:
    """Compute the norm of all gradients together, () on the device of the loss: the norm of their norms, bit
    for bit that of torch.nn.utils.get_total_norm, by one call for all of them.
    """
    if not gradients:
        return torch.zeros_like(loss)
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


@torch.no_grad()
def clip(gradients: list[Tensor], bound: float, norm: Tensor) -> None:
    """Multiply gradients by min(1, bound / (norm + 1e-6)), in place, as torch.nn.utils.clip_grad_norm_ does;
    on a CPU, which can read the norm without waiting, not where that is 1.
    """
    if norm.device.type == "cpu" and float(norm) + 1e-6 < bound:
        return
    torch._foreach_mul_(gradients, (bound / (norm + 1e-6)).clamp(max=1.0))


def admitted(loss: Tensor, norm: Tensor, skip_norm: float | None) -> Tensor:
    """Return whether an update may be made, () bool on the device: its loss and the norm of its gradient are
    finite, and the norm is below `skip_norm`, if there is one.
    """
    finite = norm.isfinite() & loss.isfinite()
    return finite if skip_norm is None else finite & (norm < skip_norm)


def read_admitted(loss: Tensor, norm: Tensor, skip_norm: float | None) -> bool:
    """Return what `admitted` finds, read by the host: a few operations on single numbers take longer than
    reading both where nothing has to be waited for, on a CPU.
    """
    if loss.device.type != "cpu" or skip_norm is not None:
        return bool(admitted(loss, norm, skip_norm))
    return math.isfinite(float(norm)) and math.isfinite(float(loss))


def others(learned: Mapping[str, Sequence[nn.Parameter]], phase: str) -> list[nn.Parameter]:
    """List the parameters that learn in other phases and not in this one, to be `held` during its loss.
    learned: the parameters of each phase, by its name.
    """
    mine = set(learned[phase])
    return [p for parameters in learned.values() for p in parameters if p.requires_grad and p not in mine]


@contextmanager
def held(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Let no gradient reach these parameters inside the block, by requires_grad; afterwards they learn
    again.
    """
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def only(learned: Mapping[str, Sequence[nn.Parameter]], phase: str) -> AbstractContextManager[None]:
    """Let gradient reach the parameters of one phase alone inside the block; afterwards all learn again. The
    training loop lists the `others` once.
    learned: the parameters of each phase, by its name.
    """
    return held(others(learned, phase))


def add_gradient(loss: Tensor, learned: Mapping[str, Sequence[nn.Parameter]], phase: str) -> None:
    """Add the gradient of a loss, (), to that of the parameters of its phase.

    Of several phases to those alone which learn at this call: a GAN's penalty makes images require gradient,
    too, which nobody reads. Of a single phase to all that the loss depends on, since a list would cost time.
    learned: the parameters of each phase, by its name.
    """
    own = [p for p in learned[phase] if p.requires_grad] if len(learned) > 1 else []
    loss.backward(inputs=own or None)


def restore(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Give an optimizer the state of a checkpoint (see checkpoint_contents.resumable); its settings remain
    its own, but for the learning rate of its last step, which the log shows until the next one.

    Every tensor is a new one of its parameter's layout: steps write to its memory as if it had that, where
    the tensor in a file may be one number seen many times.
    """
    optimizer.load_state_dict({**state, "param_groups": optimizer.state_dict()["param_groups"]})
    for group, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
        lr = saved.get("lr")
        if isinstance(lr, float) and 0 <= lr <= group["lr"]:  # the file may be a stranger's
            group["lr"] = lr
    for parameter, entries in optimizer.state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                like = parameter if value.shape == parameter.shape else value
                entries[name] = torch.empty_like(like, dtype=value.dtype, device=value.device).copy_(value)


def rates(optimizers: Mapping[str, Optimizer]) -> dict[str, float]:
    """Return the learning rate of the optimizer of each phase, as its last step had it, by the names that the
    log has for them: {"net/lr": 0.002}.
    """
    return {f"{phase}/lr": optimizer.param_groups[0]["lr"] for phase, optimizer in optimizers.items()}
