"""Networks compiled by torch.compile for the length of a training; a check that a compiler is installed."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import nn

__all__ = ["check_compiler", "compiled"]


OPTIONS: dict[str, str | int | bool | Callable[..., object]] = {"fallback_random": True}
"""Dropout by the numbers that are drawn without compiling."""


def check_compiler(device: torch.device) -> None:
    """Raise ValueError where torch.compile would find no compiler for this device: g++, or the one in the
    variable CXX; on a GPU also triton. Asked before any work, since torch finds out minutes later.
    """
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ValueError(
            f"trainer.compile is true, and there is no C++ compiler {compiler!r}: install one, name another "
            "by the environment variable CXX, or use trainer.compile=false"
        )
    if device.type == "cuda" and find_spec("triton") is None:
        raise ValueError(
            "trainer.compile is true, and triton, which a GPU needs for it, is not installed: install it, or "
            "use trainer.compile=false"
        )


@contextmanager
def compiled(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Compile the forward pass of each network for the length of the block; hooks run around it as before,
    and the names of weights remain.
    Afterwards a network runs as it was written: samples come in batches of many sizes, each of which would be
    compiled anew.
    No network may be copied within the block, since its copy would compute by the weights of the original.
    """
    for network in networks:
        network.forward = torch.compile(network.forward, dynamic=False, options=OPTIONS)
    try:
        yield
    finally:
        for network in networks:
            del network.forward
