"""Passes are counted, not declared."""

import pytest
import torch
from torch import Tensor, nn

from genbench.metrics import PassCounter, parameter_count, peak_memory_bytes, reset_peak_memory
from genbench.metrics.cost import PROCESS_CLEAR


class Named(nn.Module):
    """Takes its images by name, behind a number."""

    def forward(self, t: float, *, x: Tensor) -> Tensor:
        return x * t


def test_rows_are_counted_over_all_modules_and_doubled_by_guidance() -> None:
    first, second = nn.Linear(3, 3), Named()
    with PassCounter([first, second]) as counter:
        first(torch.zeros(4, 3))
        first(torch.zeros(8, 3))  # with and without the label, in one batch
        second(0.5, x=torch.zeros(4, 3))
    assert counter.passes(4) == 4.0


def test_nothing_is_counted_outside_the_block_even_after_an_error() -> None:
    module = nn.Linear(3, 3)
    counter = PassCounter([module])
    with pytest.raises(RuntimeError), counter:
        module(torch.zeros(2, 4))  # of the wrong width
    module(torch.zeros(2, 3))
    assert counter.rows == 0


def test_shared_parameters_are_counted_once() -> None:
    layer = nn.Linear(3, 2)
    assert parameter_count(nn.Sequential(layer, layer)) == 8


def test_peak_memory_is_that_of_a_process_with_torch_in_it() -> None:
    assert 5e7 < peak_memory_bytes(torch.device("cpu")) < 1e12


def test_the_peak_of_memory_starts_anew_after_a_reset() -> None:
    if not PROCESS_CLEAR.exists():
        pytest.skip("this system counts from the start of the process")
    block = torch.ones(32 * 2**20)  # 128 MiB
    high = peak_memory_bytes(torch.device("cpu"))
    del block
    reset_peak_memory(torch.device("cpu"))
    assert peak_memory_bytes(torch.device("cpu")) < high - 64 * 2**20  # the allocator may keep a part
