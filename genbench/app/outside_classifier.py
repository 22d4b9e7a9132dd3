"""Guidance by a classifier from outside: a network that an option describes, with weights from a file.

It is no part of genbench.app's own names, since its annotations need torch at import.
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import Tensor, nn

from genbench.app.run_names import file_hash
from genbench.diffusion.guidance import Classifier
from genbench.metrics.features.weights import check_layout, read_tensors
from genbench.nn.classifier import NoisyClassifier
from genbench.runtime.disk import expanded
from genbench.runtime.downloads import may_download
from genbench.training.checkpoint_contents import is_dense

__all__ = ["outside_classifier"]

REMEDY = "set guidance.weights to a file of its weights (.safetensors, or a state dict by torch.save)"


def outside_classifier(
    num_classes: int,
    network: nn.Module,
    *,
    shape: Sequence[int],
    weights: str | None = None,
    sha256: str | None = None,
    scale: float = 2.0,
    noised: bool = True,
) -> Classifier:
    """Return the guidance of a frozen classifier, network(xt, t) -> logits (B, K), or network(x0).

    num_classes, shape: of the images (C, H, W). weights: its file, null: as its constructor makes them.
    sha256: of that file. scale, noised: see Classifier. The file is read at the user's own command alone: a
    model that is loaded has its weights in a checkpoint. Nothing in the file is executed. Raises ValueError
    where the file cannot be read or does not fit, and where the network is none of these images and classes.
    """
    frozen = network.requires_grad_(False).eval()
    guidance = Classifier(num_classes, frozen, scale=scale, noised=noised)
    channels, height, width = shape
    guidance.check_logits((channels, height, width), num_classes)
    if weights is not None and may_download():
        path = expanded(weights, "write the whole path, or set HOME")
        if not path.is_file():
            raise ValueError(f"guidance.weights is {weights}, which is no file: give one of weights, or null")
        if file_hash(weights) != sha256:
            raise ValueError(
                f"guidance.sha256 is {sha256}, which is not the hash of guidance.weights={weights}: leave "
                "guidance.sha256 out"
            )
        load(frozen, path)
    elif isinstance(network, NoisyClassifier) and sha256 is None:
        raise ValueError(f"guidance_network=noisy is not trained: {REMEDY}, or use guidance=classifier")
    return guidance


def load(network: nn.Module, path: Path) -> None:
    """Load the weights of a file into a network. Raises ValueError where its names or shapes differ, or they
    are not finite.
    """
    tensors = tensors_of(path)
    check_layout(tensors, network, path, of=f"guidance.network {type(network).__name__}", remedy=REMEDY)
    broken = [name for name, x in tensors.items() if not (is_dense(x) and bool(x.isfinite().all()))]
    if broken:
        raise ValueError(f"{path} has weights that are not finite, the first {broken[0]}; {REMEDY}")
    network.load_state_dict(tensors, strict=False)


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Read a file of weights by its suffix. Raises ValueError where it is neither of the two formats."""
    if path.suffix != ".safetensors":
        return read_tensors(path, REMEDY)
    try:
        return parse(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{path} is not a file of weights (damaged, {error}); {REMEDY}") from error
