"""Precision: networks under autocast, everything else in float32."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genbench.precision import AutoPrecision, BFloat16, Float32, has_bf16_units

CPU = torch.device("cpu")
CPU_FACTS = Path("/proc/cpuinfo")


class Spy(nn.Module):
    """Answers a product, and remembers its dtype."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.seen: torch.dtype | None = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        self.seen = y.dtype
        if bool(x.isnan().any()):
            raise RuntimeError("asked to fail")
        return y


def test_bf16_computes_inside_and_answers_in_float32() -> None:
    spy = Spy()
    BFloat16().apply([spy], CPU)
    assert spy(torch.ones(2, 4)).dtype == torch.float32
    assert spy.seen == torch.bfloat16
    assert (torch.ones(2, 4) @ torch.ones(4, 4)).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_fp32_changes_nothing() -> None:
    spy = Spy()
    Float32().apply([spy], CPU)
    spy(torch.ones(2, 4))
    assert spy.seen == torch.float32


def test_a_network_that_fails_leaves_no_autocast_behind() -> None:
    spy = Spy()
    BFloat16().apply([spy], CPU)
    with pytest.raises(RuntimeError, match="asked to fail"):
        spy(torch.full((2, 4), torch.nan))
    assert not torch.is_autocast_enabled("cpu")


def test_a_copy_of_a_network_keeps_its_precision() -> None:
    spy = Spy()
    BFloat16().apply([spy], CPU)
    twin = copy.deepcopy(spy)  # as the moving average makes it
    assert twin(torch.ones(2, 4)).dtype == torch.float32
    assert twin.seen == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_gradients_flow_through_the_region() -> None:
    spy = Spy()
    BFloat16().apply([spy], CPU)
    spy(torch.ones(2, 4)).sum().backward()
    assert spy.linear.weight.grad is not None
    assert spy.linear.weight.grad.dtype == torch.float32


def test_auto_follows_the_hardware() -> None:
    if not CPU_FACTS.exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    units = "amx_bf16" in CPU_FACTS.read_text()
    assert has_bf16_units(CPU) == units
    assert AutoPrecision().dtype(CPU) == (torch.bfloat16 if units else torch.float32)
