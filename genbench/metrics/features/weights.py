"""Files of published weights: found, read without running code in them, and compared with the layout of the
network that they are for.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from genbench.data import ImageData, ImageSource
from genbench.runtime.disk import expanded

__all__ = ["check_channels", "check_layout", "local_file", "read_tensors"]


def check_channels(source: ImageSource | ImageData, network: str) -> None:
    """Raise ValueError on images of other than 1 or 3 channels, which networks for colour photographs cannot
    take; `network` is the name of one, for the message.
    """
    if source.shape[0] not in (1, 3):
        raise ValueError(
            f"{source.name} has {source.shape[0]} channels; {network} takes 1 (repeated) or 3: "
            "use features=classifier"
        )


def local_file(weights: str, remedy: str) -> Path:
    """Return the path that features.weights states, with ~ expanded. Raises FileNotFoundError, which ends
    with `remedy`, where there is no file.
    """
    path = expanded(weights, "write the whole path, or set HOME")
    if not path.is_file():
        raise FileNotFoundError(f"features.weights is {path}, which is not a file; {remedy}")
    return path


def read_tensors(path: Path, remedy: str) -> dict[str, Tensor]:
    """Read the tensors of a weights file without running any code in it, by name, on the CPU.

    Raises ValueError where it holds anything else, with the path.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on pickles that it then refuses
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes spell
        reason = "it is empty" if path.stat().st_size == 0 else "damaged, or of another format"
        raise ValueError(f"{path} is not a file of weights ({reason}); {remedy}") from error
    return {name: x for name, x in state.items() if isinstance(x, Tensor)} if isinstance(state, dict) else {}


def check_layout(
    state: Mapping[str, Tensor], network: nn.Module, path: Path, *, of: str, remedy: str
) -> None:
    """Raise ValueError where the names and shapes of a file's tensors are not those of a network; the message
    says how many differ and shows the first three. of: the network's name; remedy: the end of the message.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    # Files are published without the batch counters, which play no part in eval mode.
    names = [name for name in expected | found if not name.endswith("num_batches_tracked")]
    differing = [name for name in names if expected.get(name) != found.get(name)]
    if differing:
        shown = ", ".join(
            f"{name} (file {found.get(name)}, expected {expected.get(name)})" for name in differing[:3]
        )
        raise ValueError(f"{path} differs from {of} in {len(differing)} entries: {shown}; {remedy}")
