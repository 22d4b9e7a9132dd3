"""Precision in which networks compute: float32, bfloat16 or float16, by choice or by measuring; losses and
everything else remain in float32.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = [
    "FIXED",
    "AutoPrecision",
    "BFloat16",
    "Choice",
    "FixedPrecision",
    "Float16",
    "Float32",
    "LossScaling",
    "Precision",
    "full_precision",
    "has_bf16_units",
    "has_fp16_units",
    "named",
    "recorded_precision",
]


class Precision(ABC):
    """A choice of the dtype of matrix products and convolutions inside networks; either fixed, or found by
    measuring how fast the device trains in each. Options of conf/precision.
    """

    @abstractmethod
    def choose(self, device: torch.device, measure: "Callable[[], dict[str, float]]") -> "Choice":
        """The precision to compute in on a device, and why.

        measure: trains a few steps; returns the images per second of each precision under its name.
        """

    def check(self, device: torch.device) -> None:  # noqa: B027 (most precisions have nothing to refuse)
        """Raise ValueError where a device cannot train in this precision; by default every device can."""


@dataclass(frozen=True)
class LossScaling:
    """Settings of the scale of the loss under float16, whose least number is 6e-8: smaller gradients would be
    lost.

    init_scale: factor of the loss at the start, a power of two, so that scaling rounds nothing.
    growth_interval: updates in a row without an overflow after which the scale doubles.
    min_scale: the least scale; an update that overflows there stops the training.
    Source: Micikevicius et al. 2018, Section 3.2; the numbers are those of torch.amp.GradScaler.
    """

    init_scale: float = 65536.0
    growth_interval: int = 2000
    min_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("init_scale", "min_scale"):
            value = getattr(self, name)
            if not (0 < value < math.inf and math.frexp(value)[0] == 0.5):
                raise ValueError(f"precision.{name} is {value}; it must be a power of two, e.g. 65536 or 1")
        if self.min_scale > self.init_scale:
            raise ValueError(
                f"precision.min_scale is {self.min_scale}; it must be at most precision.init_scale="
                f"{self.init_scale}"
            )
        if self.growth_interval < 1:
            raise ValueError(
                f"precision.growth_interval is {self.growth_interval}; it must be at least 1, e.g. 2000"
            )


class FixedPrecision(Precision):
    """One precision, whatever the device. Its name stands in run.json and in tables, and a resumed run
    computes in the precision that its record names.
    """

    name: str
    """As it stands in records and tables."""
    loss_scaling: LossScaling | None = None
    """Of the loss in training; None: the loss is differentiated as it is."""

    def choose(self, device: torch.device, measure: Callable[[], dict[str, float]]) -> "Choice":
        return Choice(self)

    @abstractmethod
    def apply(self, networks: list[nn.Module], device: torch.device) -> list[RemovableHandle]:
        """Register hooks with which each network computes in this precision and returns float32, in training
        and in sampling alike; returns them, so that they can be removed.
        """


class Float32(FixedPrecision):
    """Full precision: networks compute as they are written."""

    name = "fp32"

    def apply(self, networks: list[nn.Module], device: torch.device) -> list[RemovableHandle]:
        return []


class BFloat16(FixedPrecision):
    """Mixed precision by autocast: matrix products and convolutions inside networks take bfloat16, while
    weights, gradients, optimizers and what a network returns are float32.
    """

    name = "bf16"

    def apply(self, networks: list[nn.Module], device: torch.device) -> list[RemovableHandle]:
        return attached(networks, device, torch.bfloat16)


class Float16(FixedPrecision):
    """Mixed precision by autocast to float16, whose numbers have 11 bits, but end at 65504 and at 6e-8: the
    loss is scaled in training, see `LossScaling` for the arguments.

    Weights, gradients, optimizers and what a network returns are float32, as under bfloat16. On a device
    without float16 units a run is refused, and networks that were trained elsewhere compute in float32.
    """

    name = "fp16"

    def __init__(
        self, init_scale: float = 65536.0, growth_interval: int = 2000, min_scale: float = 1.0
    ) -> None:
        self.loss_scaling = LossScaling(init_scale, growth_interval, min_scale)

    def check(self, device: torch.device) -> None:
        if not has_fp16_units(device):
            raise ValueError(
                f"precision is fp16, and {device} has no units for it: it needs a GPU of compute capability "
                "5.3 or above, or a CPU with AMX-FP16, since others emulate it many times slower than fp32: "
                "use precision=auto, bf16 or fp32"
            )

    def choose(self, device: torch.device, measure: Callable[[], dict[str, float]]) -> "Choice":
        if has_fp16_units(device):
            return Choice(self)
        return Choice(FIXED["fp32"], "this device has no fp16 units")

    def apply(self, networks: list[nn.Module], device: torch.device) -> list[RemovableHandle]:
        return attached(networks, device, torch.float16)


FIXED: dict[str, FixedPrecision] = {each.name: each for each in (Float32(), BFloat16(), Float16())}
"""The precisions under the names that records use."""


def named(name: str, asked: Precision) -> FixedPrecision:
    """Return the precision of a name in FIXED: the one that was asked for, with its settings, if that has the
    name.
    """
    return asked if isinstance(asked, FixedPrecision) and asked.name == name else FIXED[name]


class Choice(NamedTuple):
    """A precision, and the reason why it was taken in words, which is printed; empty where the user asked for
    it, and where a device has one alone. The first process makes the choice for all.
    """

    taken: FixedPrecision
    reason: str = ""
    """In words, where there was a choice that the user did not make."""


def recorded_precision(
    record: Mapping[str, Any], precision: Precision, device: torch.device
) -> FixedPrecision:
    """Return the precision of a recorded run on a device; precision: as its configuration says.

    That of the record, except that what `auto` took as bfloat16, and float16, is float32 on a device without
    units for it.
    Records of before November 2026 do not name it: bfloat16 wherever there were units.
    Raises ValueError on a name that is none.
    """
    name = record.get("precision") or "bf16"
    if not isinstance(name, str) or name not in FIXED:
        raise ValueError(f"precision is {str(name)[:40]!r}; it must be one of {', '.join(FIXED)}")
    return precision.choose(device, lambda: {each: float(each == name) for each in FIXED}).taken


class AutoPrecision(Precision):
    """bfloat16 where the device has units for it and a training step is at least `gain` times as fast.

    gain: below it the small gain does not make up for the lower precision.
    """

    def __init__(self, gain: float = 1.2) -> None:
        if not gain > 0:
            raise ValueError(f"precision.gain is {gain}; it must be above 0, e.g. 1.2")
        self.gain = gain

    def choose(self, device: torch.device, measure: Callable[[], dict[str, float]]) -> Choice:
        if not has_bf16_units(device):
            return Choice(FIXED["fp32"])  # there is nothing to choose from
        rate = measure()
        taken = FIXED["bf16" if rate["bf16"] >= self.gain * rate["fp32"] else "fp32"]
        shown = f"bf16 trains {rate['bf16']:,.0f} images/s, fp32 {rate['fp32']:,.0f}"
        return Choice(taken, f"{shown} (bf16 is chosen if it trains {self.gain} times as fast)")


class Autocast:
    """Hooks that open an autocast region for exactly one module's forward pass.
    dtype: of products inside, bfloat16 or float16.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.regions: list[torch.autocast] = []  # a stack: a network may call itself

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        """Register both hooks on a network; returns them."""
        return [
            network.register_forward_pre_hook(self.enter),
            # First, so that of two regions around one network the inner one ends before the outer one.
            network.register_forward_hook(self.leave, always_call=True, prepend=True),
        ]

    def enter(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Open a region before the forward pass."""
        # A region for each call, since one object cannot be entered twice at once.
        region = torch.autocast(self.device.type, self.dtype)
        region.__enter__()
        self.regions.append(region)

    def leave(self, network: nn.Module, inputs: tuple[Any, ...], output: Tensor | None) -> Tensor | None:
        """Close the region, also where the forward pass failed; the output is returned in float32."""
        self.regions.pop().__exit__(None, None, None)
        return output.float() if isinstance(output, Tensor) else output


def attached(networks: list[nn.Module], device: torch.device, dtype: torch.dtype) -> list[RemovableHandle]:
    """Register hooks on each network, by which its forward passes run under autocast to a dtype."""
    return [handle for network in networks for handle in Autocast(device, dtype).attach(network)]


def has_bf16_units(device: torch.device) -> bool:
    """True where the device multiplies bfloat16 matrices in hardware: a GPU of Ampere or later, a CPU with
    AMX tiles or the dot products of AVX-512 BF16. Emulation would be slower than float32.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    units = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cpu" and units


def has_fp16_units(device: torch.device) -> bool:
    """True where the device computes in float16 in hardware: a GPU of compute capability 5.3 or above (its
    tensor cores come with 7.0), a CPU with AMX-FP16. A CPU of AVX-512 alone took 9 times as long as in
    float32.
    """
    if device.type == "cuda":
        return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (5, 3)
    return device.type == "cpu" and torch.cpu._is_amx_fp16_supported()


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in plain float32 with repeatable kernels inside the block: no autocast, no TF32, no choice of
    algorithms by timing. For metrics and flows, whose numbers must not depend on the precision of training.
    """
    matmul = torch.get_float32_matmul_precision()
    cudnn = torch.backends.cudnn.flags(
        enabled=torch.backends.cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False
    )
    with torch.autocast(device.type, enabled=False), cudnn:
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(matmul)
