"""Files of published weights: read without running code in them, and held to a network's layout."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["check_layout", "read_tensors"]


def read_tensors(path: Path, remedy: str) -> dict[str, Tensor]:
    """Read the tensors of a weights file without running any code in it, by name, on the CPU.

    Raises ValueError where it holds anything else, with the path.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes spell
        raise ValueError(f"{path} is no file of weights ({error}); {remedy}") from error
    return {name: x for name, x in state.items() if isinstance(x, Tensor)} if isinstance(state, dict) else {}


def check_layout(
    state: Mapping[str, Tensor], network: nn.Module, path: Path, *, of: str, remedy: str
) -> None:
    """Raise ValueError where a file's tensors are not those of a network, naming the first that differ."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    # Files are published without the batch counters, which play no part in eval mode.
    names = [name for name in expected | found if not name.endswith("num_batches_tracked")]
    differing = [name for name in names if expected.get(name) != found.get(name)]
    if differing:
        shown = ", ".join(
            f"{name} (file {found.get(name)}, legal {expected.get(name)})" for name in differing[:3]
        )
        raise ValueError(
            f"{path} has another layout than {of} in {len(differing)} entries: {shown}; {remedy}"
        )
