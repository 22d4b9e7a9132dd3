"""Training steps as CUDA graphs: two calls launch all kernels of a loss, its gradient and the update, where
otherwise Python launches thousands one by one.

A graph repeats what it recorded: the same operations on the same addresses. So inputs are copied to where the
first ones were, and a model must compute the same at each step (`Generator.check_replayable`). Random numbers
are not part of it: torch's default generator, which the loop seeds at each step, is read when a graph is
launched, so that the numbers are those that are drawn without graphs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genbench.errors import Failure
from genbench.generator import Condition, Generator, Loss, Y
from genbench.runtime.global_batch import Part
from genbench.runtime.memory import is_out_of_memory
from genbench.training.data_parallel import Backward, backward
from genbench.training.loss_scale import LossScaler
from genbench.training.step import is_fused, update

__all__ = ["WARM_UP", "GraphedSteps", "Recorder", "Update", "check_fused", "record_graph", "steps_of"]

T = TypeVar("T")
Recorder = Callable[[Callable[[], Any]], Callable[[], Any]]
"""Records some work, which it does not do; returns what does it and gives its result, in the same memory each
time."""
WARM_UP = 3
"""Steps of each kind that are taken as usual before one is recorded: libraries allocate memory at their first
calls, which a graph cannot, and optimizers make their state. torch's guide takes as many."""


class Update(Protocol):
    """Moves the weights and clears the gradients: `step.update`, or the same by a graph."""

    def __call__(
        self,
        optimizer: Optimizer,
        lr_factor: float,
        clip_norm: float | None,
        loss: Tensor,
        scaler: LossScaler | None = None,
        skip_norm: float | None = None,
    ) -> Tensor: ...


def steps_of(model: Generator, device: torch.device, *, graphs: bool) -> tuple[Backward, Update]:
    """Return the two halves of a training step of a model, the gradient and the update: as CUDA graphs where
    `graphs` asks for them (trainer.cuda_graphs), else as torch computes them.
    """
    if not graphs:
        return backward, update
    steps = GraphedSteps(model.period, partial(record_graph, device))
    return steps.backward, steps.update


class GraphedSteps:
    """Both halves of a step as CUDA graphs, one pair for each kind of step: each phase of a model, and within
    it those of its rare steps (0, period, 2 period, ..).

    The first `WARM_UP` steps of each kind are taken without a graph, as part of the training. The factor of
    the learning rate is rounded to float32, in which the device reads it.
    period: of the model's steps, see Generator.period. record: how work is recorded, by `record_graph` on a
    GPU.
    """

    def __init__(self, period: int, record: Recorder) -> None:
        self.period, self.record = period, record
        self.kinds: dict[tuple[nn.Module, bool], KindOfStep] = {}
        self.current: KindOfStep

    def backward(
        self, loss: nn.Module, x: Tensor, y: Y, *, step: int, part: Part, scaler: LossScaler | None = None
    ) -> Loss:
        """Do what `data_parallel.backward` does for a whole batch. Raises ValueError on a batch in parts or a
        scaled loss, Failure where the loss cannot be recorded.
        """
        if part.of > 1 or scaler is not None:
            raise ValueError(
                "trainer.cuda_graphs is true, and a graph holds a whole batch without a scale of the loss: "
                "use one process, trainer.accumulate=1 and no fp16, or trainer.cuda_graphs=false"
            )
        key = loss, step % self.period == 0
        if key not in self.kinds:
            self.kinds[key] = KindOfStep(loss, x, y, self.record)
        self.current = self.kinds[key]
        return self.current.backward(x, y, step=step, part=part)

    def update(
        self,
        optimizer: Optimizer,
        lr_factor: float,
        clip_norm: float | None,
        loss: Tensor,
        scaler: LossScaler | None = None,
        skip_norm: float | None = None,
    ) -> Tensor:
        """Do what `step.update` does, with the gradient of the last `backward`, which had no scale. Raises
        ValueError on an optimizer without fused kernels.
        """
        check_fused(optimizer)
        return self.current.update(optimizer, lr_factor, clip_norm, loss, skip_norm)


def check_fused(optimizer: Optimizer) -> None:
    """Raise ValueError on an optimizer without fused kernels, whose updates no graph can hold: the host reads
    from the device, at each step, whether the update may be made.
    """
    if not is_fused(optimizer):
        raise ValueError(
            f"trainer.cuda_graphs is true, and {type(optimizer).__name__} works without fused kernels, so "
            "that its updates wait for the GPU and cannot be recorded: use optim=adam, adamw or adam_gan "
            "with optim.fused=true, or trainer.cuda_graphs=false"
        )


class KindOfStep:
    """The steps of one phase that compute the same: their inputs at fixed addresses, and their two graphs.

    loss: (x, y, step) -> Loss. x, y: a batch, whose shapes all others have.
    """

    def __init__(self, loss: nn.Module, x: Tensor, y: Y, record: Recorder) -> None:
        self.loss, self.record, self.taken = loss, record, 0
        self.x, self.y = x.clone(), twin(y)
        self.weights = list(loss.parameters())
        self.lr_factor, self.mean_loss = torch.ones((), device=x.device), torch.zeros((), device=x.device)
        self.stream = torch.cuda.Stream(x.device) if x.is_cuda else None
        self.differentiate: Callable[[], tuple[Loss, list[tuple[nn.Parameter, Tensor]]]] | None = None
        self.move: Callable[[], Tensor] | None = None

    def backward(self, x: Tensor, y: Y, *, step: int, part: Part) -> Loss:
        """Set the gradients of the phase's parameters to those of a batch, and return its loss."""

        def work() -> tuple[Loss, list[tuple[nn.Parameter, Tensor]]]:
            found = backward(self.loss, self.x, self.y, step=step, part=part)
            # Without its history, whose nodes a recording would find on another stream.
            alone = Loss(found.total.detach(), found.terms)
            return alone, [(p, p.grad) for p in self.weights if p.grad is not None]

        self.taken += 1
        for own, new in zip(tensors(self.x, self.y), tensors(x, y), strict=True):
            own.copy_(new, non_blocking=True)
        if self.taken <= WARM_UP:
            found, _ = self.aside(work)
        else:
            if self.differentiate is None:
                self.differentiate = self.record(work)
            found, gradients = self.differentiate()
            for weight, gradient in gradients:  # the update before has taken them from the weights
                weight.grad = gradient
        return Loss(found.total.clone(), {name: term.clone() for name, term in found.terms.items()})

    def update(
        self,
        optimizer: Optimizer,
        lr_factor: float,
        clip_norm: float | None,
        loss: Tensor,
        skip_norm: float | None,
    ) -> Tensor:
        """Move the weights by their gradients and clear these; returns the norm before clipping, ()."""

        def work() -> Tensor:
            return update(optimizer, self.lr_factor, clip_norm, self.mean_loss, None, skip_norm)

        def capturable_work() -> Tensor:
            with capturable(optimizer):
                return work()

        self.lr_factor.fill_(lr_factor)
        self.mean_loss.copy_(loss)
        if self.taken <= WARM_UP:
            norm = self.aside(work)
        else:
            if self.move is None:
                self.move = self.record(capturable_work)
            norm = self.move().clone()
        for group in optimizer.param_groups:  # a number again, for the log and for checkpoints
            group["lr"] = group["initial_lr"] * lr_factor
        optimizer.zero_grad()
        return norm

    def aside(self, work: Callable[[], T]) -> T:
        """Do work on a stream of its own, as torch asks of the steps before a recording, and have the current
        stream wait for it."""
        if self.stream is None:
            return work()
        self.stream.wait_stream(torch.cuda.current_stream(self.x.device))
        with torch.cuda.stream(self.stream):
            result = work()
        torch.cuda.current_stream(self.x.device).wait_stream(self.stream)
        return result


def record_graph(device: torch.device, work: Callable[[], T]) -> Callable[[], T]:
    """Record work as a CUDA graph of a device, without doing it; returns what launches the graph and gives
    the result. Raises Failure where the work cannot be recorded, such as work that reads a value back.
    """
    graph = torch.cuda.CUDAGraph()
    # Other threads, such as one that writes a checkpoint, may go on with what a recording forbids.
    recording = torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local")
    try:
        with torch.cuda.device(device), recording:
            result = work()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        # Where an operation failed, the end of the recording fails too, and would hide which one it was.
        first = str(error.__context__ or error).splitlines()[0]
        raise Failure(
            f"trainer.cuda_graphs is true, and a step of this model cannot be recorded as a graph ({first}): "
            "use trainer.cuda_graphs=false"
        ) from error

    def launch() -> T:
        graph.replay()
        return result

    return launch


@contextmanager
def capturable(optimizer: Optimizer) -> Iterator[None]:
    """Tell an optimizer, inside the block alone, that its step is recorded: torch refuses it otherwise. Its
    state is the same either way where its kernels are fused, so that checkpoints are.
    """
    groups = [group for group in optimizer.param_groups if "capturable" in group]
    before = [group["capturable"] for group in groups]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group, value in zip(groups, before, strict=True):
            group["capturable"] = value


def tensors(x: Tensor, y: Y) -> list[Tensor]:
    """List the tensors of a batch: images, and labels or the tokens and mask of texts."""
    if isinstance(y, Condition):
        return [x, y.tokens, y.mask]
    return [x] if y is None else [x, y]


def twin(y: Y) -> Y:
    """Copy labels or texts to memory of their own."""
    if isinstance(y, Condition):
        return Condition(y.tokens.clone(), y.mask.clone())
    return None if y is None else y.clone()
