"""Precision: networks under autocast, everything else in float32."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genbench.runtime.precision import (
    AutoPrecision,
    BFloat16,
    FixedPrecision,
    Float16,
    Float32,
    has_bf16_units,
    has_fp16_units,
    named,
    recorded_precision,
)

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


@pytest.fixture
def with_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with bfloat16 units, whatever this one has."""
    monkeypatch.setattr("genbench.runtime.precision.has_bf16_units", lambda device: True)


def test_the_units_are_those_that_the_system_lists() -> None:
    if not CPU_FACTS.exists():
        pytest.skip("no /proc/cpuinfo to compare with")
    listed = CPU_FACTS.read_text().split()
    assert has_bf16_units(CPU) == ("amx_bf16" in listed or "avx512_bf16" in listed)


@pytest.mark.usefixtures("with_units")
@pytest.mark.parametrize(("bf16", "taken"), [(119.0, "fp32"), (121.0, "bf16"), (50.0, "fp32")])
def test_auto_takes_bf16_where_it_trains_a_fifth_more_images(bf16: float, taken: str) -> None:
    choice = AutoPrecision().choose(CPU, lambda: {"fp32": 100.0, "bf16": bf16})
    assert choice.taken.name == taken
    assert f"bf16 trains {bf16:.0f} images/s, fp32 100 (bf16 is chosen if it trains 1.2 " in choice.reason


def test_auto_measures_nothing_without_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.runtime.precision.has_bf16_units", lambda device: False)
    choice = AutoPrecision().choose(CPU, lambda: pytest.fail("measured"))
    assert choice.taken.name == "fp32"


def test_what_auto_took_with_units_is_not_emulated_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genbench.runtime.precision.has_bf16_units", lambda device: False)
    assert recorded_precision({"precision": "bf16"}, AutoPrecision(), CPU).name == "fp32"
    assert recorded_precision({"precision": "bf16"}, BFloat16(), CPU).name == "bf16"


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan")])
def test_a_gain_that_cannot_be_is_refused(gain: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        AutoPrecision(gain)


@pytest.mark.parametrize("precision", [Float32(), BFloat16()])
def test_what_was_asked_for_is_taken_without_a_word(precision: FixedPrecision) -> None:
    assert precision.choose(CPU, lambda: pytest.fail("measured")) == (precision, "")


@pytest.mark.usefixtures("with_units")
def test_a_record_says_what_was_taken_and_an_old_one_what_its_configuration_meant() -> None:
    assert recorded_precision({"precision": "fp32"}, AutoPrecision(), CPU).name == "fp32"
    assert recorded_precision({}, AutoPrecision(), CPU).name == "bf16"
    assert recorded_precision({"precision": None}, Float32(), CPU).name == "fp32"
    assert recorded_precision({"precision": "bf16"}, BFloat16(), CPU).name == "bf16"
    for wrong in ("fp64", 3, {"_target_": "os.system"}, ["bf16"]):
        with pytest.raises(ValueError, match="must be one of fp32, bf16"):
            recorded_precision({"precision": wrong}, AutoPrecision(), CPU)


def test_fp16_computes_inside_and_answers_in_float32() -> None:
    spy = Spy()
    Float16().apply([spy], CPU)
    assert spy(torch.ones(2, 4)).dtype == torch.float32
    assert spy.seen == torch.float16


@pytest.mark.parametrize(("capability", "has_units"), [((5, 2), False), ((5, 3), True), ((7, 0), True)])
def test_fp16_is_refused_below_compute_capability_5_3(
    capability: tuple[int, int], has_units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    cuda = torch.device("cuda", 0)
    assert has_fp16_units(cuda) == has_units
    if has_units:
        Float16().check(cuda)
        return
    with pytest.raises(ValueError, match=r"cuda:0 has no units for it: .* use precision=auto, bf16 or fp32"):
        Float16().check(cuda)


def test_a_network_trained_in_fp16_computes_in_float32_where_there_are_no_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for there, name in ((False, "fp32"), (True, "fp16")):
        monkeypatch.setattr("genbench.runtime.precision.has_fp16_units", lambda device, there=there: there)
        assert recorded_precision({"precision": "fp16"}, Float16(), CPU).name == name


def test_the_settings_of_a_precision_survive_its_name() -> None:
    asked = Float16(init_scale=4.0)
    assert named("fp16", asked) is asked
    assert named("fp32", asked).name == "fp32"
    assert named("fp16", AutoPrecision()).name == "fp16"


def test_a_network_that_was_given_a_precision_twice_ends_both_regions() -> None:
    network = nn.Linear(2, 2)
    for _ in range(2):  # a guide: by its own run, and by the run that it guides
        BFloat16().apply([network], torch.device("cpu"))
    assert network(torch.ones(1, 2)).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
