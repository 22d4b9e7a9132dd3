"""Values that processes send each other as plain data and tensors; decoding them can execute nothing, whoever
wrote the bytes.
"""

import io
from typing import Any

import torch
from torch import Tensor

__all__ = ["from_bytes", "to_bytes"]


def to_bytes(value: Any) -> Tensor:  # noqa: ANN401
    """Encode tensors, numbers, strings, None, and dicts, lists and tuples of them: (N,) uint8.

    Raises TypeError on anything else, since the receiver would refuse it.
    """
    buffer = io.BytesIO()
    torch.save(plain(value), buffer)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def from_bytes(data: Tensor) -> Any:  # noqa: ANN401
    """Decode what `to_bytes` encoded, (N,) uint8 -> the value, with tensors on the CPU. No class or function
    is looked up, so that foreign bytes execute nothing.
    """
    return torch.load(io.BytesIO(data.numpy().tobytes()), map_location="cpu", weights_only=True)


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return `value` as it is. Raises TypeError where it holds anything but plain data and tensors."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(plain(item) for item in value)
    if kind is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    if value is None or kind in (bool, int, float, str, Tensor):
        return value
    raise TypeError(f"processes hand each other plain data and tensors, and this is a {kind.__name__}")
