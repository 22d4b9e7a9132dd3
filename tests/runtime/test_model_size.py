"""A model that the machine cannot hold is refused while it is built."""

import pytest
import torch
from torch import nn

from genbench.runtime import model_size
from genbench.runtime.model_size import ModelTooLargeError, limited_size


def test_more_tensors_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_size, "MOST_TENSORS", 3)
    with limited_size():
        nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1, bias=False))
    with pytest.raises(ModelTooLargeError, match="over 3 tensors"), limited_size():
        nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))


def test_more_bytes_than_a_share_of_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_size, "installed_memory", lambda: 4 * 400)
    with limited_size():
        nn.Linear(10, 10, bias=False)
    with pytest.raises(ModelTooLargeError, match="4 copies"), limited_size():
        nn.Linear(10, 10)


def test_an_allocation_that_fails_is_refused_alike_and_other_errors_pass() -> None:
    with pytest.raises(ModelTooLargeError, match="weights take over"), limited_size():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    with pytest.raises(RuntimeError, match="another"), limited_size():
        raise RuntimeError("another")


def test_nothing_is_counted_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_size, "MOST_TENSORS", 1)
    with limited_size():
        pass
    module = nn.Linear(2, 2)
    module.register_buffer("other", torch.zeros(1))
