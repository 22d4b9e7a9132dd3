"""A limit on the size of a model while it is built, before its weights fill the machine's memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from genbench.runtime.memory import installed_memory, is_out_of_memory

__all__ = ["ModelTooLargeError", "limited_size"]

MOST_TENSORS = 10_000
"""Ten times as many as the largest network of the literature here has; each takes its time to make."""
COPIES = 4
"""Of the weights in training: they, their gradients, their average and at least one moment."""
GB = 1e9


class ModelTooLargeError(MemoryError):
    """A model that this machine cannot hold."""


@contextmanager
def limited_size() -> Iterator[None]:
    """Raise ModelTooLargeError as soon as the modules that the block builds have more than MOST_TENSORS
    parameters and buffers, or more bytes than a COPIES-th of this machine's memory.
    """
    memory = installed_memory()
    tensors, size = 0, 0

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal tensors, size
        if tensor is None:
            return
        tensors, size = tensors + 1, size + tensor.nbytes
        if tensors > MOST_TENSORS:
            raise ModelTooLargeError(
                f"the model has over {MOST_TENSORS:,} tensors of weights, too many to build"
            )
        if COPIES * size > memory:
            raise ModelTooLargeError(too_much(memory))

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    except ModelTooLargeError:
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelTooLargeError(too_much(memory)) from error
    finally:
        for hook in hooks:
            hook.remove()


def too_much(memory: int) -> str:
    """Return the message on weights of too many bytes, on a machine of `memory` bytes."""
    return (
        f"the model's weights take over {memory / COPIES / GB:.3g} GB, and this machine has "
        f"{memory / GB:.3g} GB for the {COPIES} copies of them that training needs"
    )
