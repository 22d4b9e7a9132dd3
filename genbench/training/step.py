"""Pieces of one training step: its batch, the parameters that learn, the update of the weights, restored
random numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.data import ImageData, Split, mirrored, to_float
from genbench.generator import Condition, Generator, Y
from genbench.runtime import rng
from genbench.training.loss_scale import LossScaler

__all__ = ["Start", "captions_of", "model_batch", "only", "rates", "read_captions", "restore", "update"]


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
    images, labels = split.gather(index, device)
    x = to_float(images)
    if flip:
        x = mirrored(x)
    y: Y = labels if model.num_classes else None
    if model.takes_text:
        y = captions_of(split, index, device)
    return x.contiguous(memory_format=torch.channels_last), y


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
    are: the flag is read by the fused kernels on the device itself, so that no step waits for it (it is what
    torch's GradScaler uses). Optimizers without fused kernels do wait.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in parameters if p.grad is not None]
    if scaler is not None:
        scaler.unscale(gradients)
    norm = nn.utils.get_total_norm(gradients)
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * lr_factor
    admitted = norm.isfinite() & loss.isfinite()
    if skip_norm is not None:
        admitted &= norm < skip_norm
    if all(group.get("fused") for group in optimizer.param_groups):
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        optimizer.found_inf = (~admitted).float()  # type: ignore[attr-defined]
        optimizer.step()
    elif bool(admitted):
        optimizer.step()
    optimizer.zero_grad()
    return norm.detach() if scaler is None else scaler.update(loss, norm.detach())


@contextmanager
def only(learned: dict[str, list[nn.Parameter]], phase: str) -> Iterator[None]:
    """Let gradient reach the parameters of one phase alone inside the block, by requires_grad; afterwards all
    learn again.
    learned: the parameters of each phase, by its name.
    """
    mine = set(learned[phase])
    others = [p for parameters in learned.values() for p in parameters if p.requires_grad and p not in mine]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


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
