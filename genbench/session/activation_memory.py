"""Memory of a training step that grows with its batch, for an estimate whose batches are smaller."""

from collections.abc import Iterable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from genbench.generator import Generator, Y
from genbench.runtime import rng

__all__ = ["activation_bytes"]


def activation_bytes(model: Generator, x: Tensor, y: Y) -> float:
    """Measure the bytes that a training step holds for its backward pass for each image, on those of x
    (B, C, H, W) and y (B,) or None, in the phase that holds most. Parameters are held anyway and not counted.
    """
    with rng.fork(x.device):
        return max((held_bytes(model, x, y, phase) for phase in set(model.phases)), default=0) / len(x)


def held_bytes(model: Generator, x: Tensor, y: Y, phase: str) -> int:
    """Add up the bytes of all memory that the loss of one phase holds for its backward pass, each once."""
    known, found = set(places(model.parameters())), dict[int, int]()

    def hold(tensor: Tensor) -> Tensor:
        (place,) = places([tensor])
        if place not in known:
            found[place] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(hold, lambda tensor: tensor):
        total = model.loss(x, y, phase=phase, step=1).total  # while it is there nothing is freed
    return sum(found.values()) if total.requires_grad else 0


def places(tensors: Iterable[Tensor]) -> list[int]:
    """Return the addresses of the memory of tensors, by which views of one memory are the same."""
    return [tensor.untyped_storage().data_ptr() for tensor in tensors]
