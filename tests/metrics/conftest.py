"""The digits in a cache of their own, and Inception weights of the true layout with random values."""

from pathlib import Path

import pytest
import torch

from genbench.data import Digits, ImageData, prepare
from genbench.metrics.features.inception import empty_network
from genbench.runtime.progress import Progress


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return prepare(Digits(), cache=tmp_path_factory.mktemp("digits"), progress=Progress(None))


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """23.85 M parameters, drawn so that activations neither die nor explode on the way through."""
    rng = torch.Generator().manual_seed(0)
    state = {}
    for name, empty in empty_network().state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # the published file has none either
        if name.endswith(("running_var", "bn.weight")):
            state[name] = torch.rand(empty.shape, generator=rng) + 0.5
        else:
            fan_in = max(1, empty[0].numel())
            state[name] = torch.randn(empty.shape, generator=rng) / fan_in**0.5
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(state, path)
    return path
