"""Gradients of a batch that several processes share, averaged by torch's own engine (DistributedDataParallel)
during the backward pass, with one engine for each phase of a model.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from genbench.generator import Generator, Loss, Y
from genbench.runtime.global_batch import Part, at_work, noticed
from genbench.training.loss_scale import LossScaler
from genbench.training.step import Start, add_gradient, only

__all__ = ["Backward", "backward", "backward_parts", "phase_losses", "strides_ignored"]


class PhaseLoss(nn.Module):
    """The loss of one phase of a model, as the forward pass of a module, which torch's engine can wrap.
    learned: the parameters of each phase, see `step.add_gradient`.
    """

    def __init__(self, model: Generator, phase: str, learned: Mapping[str, Sequence[nn.Parameter]]) -> None:
        super().__init__()
        self.model, self.phase, self.learned = model, phase, learned

    def forward(self, x: Tensor, y: Y, step: int) -> Loss:
        return self.model.loss(x, y, phase=self.phase, step=step)


def phase_losses(
    model: Generator, learned: dict[str, list[nn.Parameter]], count: int, *, in_bf16: bool = False
) -> dict[str, nn.Module]:
    """Make the loss of each phase, to be given to `backward`; of `count` processes, one engine for each
    phase, which averages the gradients of that phase's parameters alone.

    learned: the parameters of each phase. in_bf16: they travel in bfloat16, see `average_in_bf16`. The model
    itself and its state dicts are not changed.
    """
    losses: dict[str, nn.Module] = {phase: PhaseLoss(model, phase, learned) for phase in model.phases}
    if count == 1:
        return losses
    for phase in losses:
        with only(learned, phase), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of broadcast_buffers, in recent versions
            # Buffers are the loop's affair: it copies them once a step, and not before each part.
            # Parameters without a gradient in some steps are found, or the engine would wait for them.
            engine = DistributedDataParallel(
                losses[phase],
                broadcast_buffers=False,
                find_unused_parameters=True,
                gradient_as_bucket_view=True,  # else each process holds its gradients twice
            )
            if in_bf16:
                engine.register_comm_hook(engine.process_group, average_in_bf16)
            losses[phase] = engine
    return losses


def average_in_bf16(group: dist.ProcessGroup, bucket: dist.GradBucket) -> Future[Tensor]:
    """Start to replace the gradients of a bucket, (N,) float32, by their means over the processes of a group,
    which are sent and added up in bfloat16. What the parts of a batch have added to them is float32.

    Each process's number is rounded once, to a relative 2^-8, and so is each sum; bfloat16 has the range of
    float32, so that a scaled loss overflows no sooner.
    """
    # Torch's own hook is refused, by its name, where torch was built without NCCL; gloo sends bfloat16, too.
    return bf16_compress_hook(group, bucket)


class Backward(Protocol):
    """Computes a loss and adds its gradient: `backward`, or the same by a CUDA graph."""

    def __call__(
        self, loss: nn.Module, x: Tensor, y: Y, *, step: int, part: Part, scaler: LossScaler | None = None
    ) -> Loss: ...


def backward(
    loss: nn.Module, x: Tensor, y: Y, *, step: int, part: Part, scaler: LossScaler | None = None
) -> Loss:
    """Compute the loss of one part of a batch, x (B, C, H, W) and y (B,) or None, and add its share of the
    gradient to that of the parts before it.

    After the last part that falls to each process, gradients are the means over all of them.
    scaler: by whose scale they are multiplied, None by nothing.
    Returns the part's own loss. Raises Lost where another process is gone.
    """
    alone = loss.no_sync() if isinstance(loss, DistributedDataParallel) and not part.last else nullcontext()
    with noticed(mixed=True), alone:
        with at_work(part):
            found: Loss = loss(x, y, step)
        count = part.of // part.processes
        share = found.total if count == 1 else found.total / count
        scaled = share if scaler is None else share * scaler.scale
        # Inside the block: it is here that torch's engine notices another process's end.
        if isinstance(loss, PhaseLoss):
            add_gradient(scaled, loss.learned, loss.phase)
        else:
            scaled.backward()  # torch's engine waits for all that learn, those of no phase too
    return found


def backward_parts(
    backprop: Backward,
    loss: nn.Module,
    batch: tuple[Tensor, Y],
    parts: Sequence[Part],
    *,
    step: int,
    buffers: Sequence[Tensor],
    scaler: LossScaler | None = None,
) -> list[Loss]:
    """Compute the loss of each part of this process's share of a batch, x (B, C, H, W) and y (B,) or None,
    and add up their gradients; returns the losses, one a part.

    backprop: of one part. buffers: those that a forward pass updates. Every part draws what the whole batch
    would, and updates them alike.
    """
    x, y = batch
    if len(parts) == 1:
        return [backprop(loss, x, y, step=step, part=parts[0], scaler=scaler)]
    start, losses, n = Start(x.device, buffers), [], len(x) // len(parts)
    for number, part in enumerate(parts):
        start.restore()
        rows = slice(number * n, (number + 1) * n)
        mine = (x[rows], None if y is None else y[rows])
        losses.append(backprop(loss, *mine, step=step, part=part, scaler=scaler))
    return losses


@contextmanager
def strides_ignored() -> Iterator[None]:
    """Pass over torch's warning, inside the block, that strides of a gradient are not those of its bucket.
    The layouts of a kernel for one channel are equal, though torch takes their strides for different ones.
    """
    # Around a whole training: each end of such a block lets Python print all other warnings once more.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        yield
