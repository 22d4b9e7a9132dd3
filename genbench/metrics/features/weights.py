"""Files of published weights: found or downloaded, read without running code in them, and compared with the
layout of the network that they are for.
"""

import shutil
import urllib.request
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench.data import ImageData, ImageSource
from genbench.data.source import file_digest
from genbench.errors import MissingWeights
from genbench.records.files import atomic_file
from genbench.runtime.disk import expanded

__all__ = ["Published", "check_channels", "check_layout", "local_file", "published_file", "read_tensors"]

TIMEOUT_SECONDS = 5.0


class Published(NamedTuple):
    """A file of weights that its authors publish: the network in words, the file's name and its address."""

    network: str
    file: str
    url: str
    sha256: str | None
    """None where none was published: names of metrics then state that of the file that came."""


def published_file(published: Published, instead: str, *, setting: str = "features") -> Path:
    """Return the path of published weights in torch's hub folder, downloaded where they are not there yet.

    A download is compared with the sha256, where that is known. setting: the node of the configuration that
    takes a path of such weights. Raises MissingWeights, with the place and what can be taken `instead`, where
    it fails; it does so within seconds without a network.
    """
    hub = expanded(torch.hub.get_dir(), "name torch's folder by the variable TORCH_HOME")
    path = hub / "checkpoints" / published.file
    if path.is_file():
        return path
    try:
        with (
            urllib.request.urlopen(published.url, timeout=TIMEOUT_SECONDS) as answer,
            atomic_file(path) as file,  # whose folder is made only now that something arrives
        ):
            shutil.copyfileobj(answer, file)
            file.flush()  # what is buffered would be missing from the digest
            if published.sha256 not in (None, file_digest(Path(file.name))):
                raise OSError("the sha256 of the downloaded file differs from that of the published file")
    except OSError as error:
        cause = getattr(error, "reason", error)  # of urllib's own error, which writes it in brackets
        beside = " (beside other features more_features.NAME.weights=PATH)" if setting == "features" else ""
        raise MissingWeights(
            f"{published.network} weights are not at {path}, and downloading them failed ({cause}): put "
            f"{published.file} there, set {setting}.weights=PATH{beside}, or use {instead}"
        ) from error
    return path


def check_channels(source: ImageSource | ImageData, network: str) -> None:
    """Raise ValueError on images of other than 1 or 3 channels, which networks for colour photographs cannot
    take; `network` is the name of one, for the message.
    """
    if source.shape[0] not in (1, 3):
        raise ValueError(
            f"{source.name} has {source.shape[0]} channels; {network} takes 1 (repeated) or 3: "
            "use features=classifier"
        )


def local_file(weights: str, remedy: str, *, setting: str = "features.weights") -> Path:
    """Return the path that a setting states, by default features.weights, with ~ expanded. Raises
    FileNotFoundError, which ends with `remedy`, where there is no file.
    """
    path = expanded(weights, "write the whole path, or set HOME")
    if not path.is_file():
        raise FileNotFoundError(f"{setting} is {path}, which is not a file; {remedy}")
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
