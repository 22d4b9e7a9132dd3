"""In which precision the networks compute; losses and everything else stay in float32."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["AutoPrecision", "BFloat16", "Float32", "Precision", "has_bf16_units"]


class Precision(ABC):
    """Chooses the dtype of matrix products and convolutions inside networks."""

    @abstractmethod
    def dtype(self, device: torch.device) -> torch.dtype:
        """torch.float32 or torch.bfloat16 on this device."""

    def apply(self, networks: list[nn.Module], device: torch.device) -> None:
        """Make each network run under autocast and answer in float32, in training and in sampling alike."""
        if self.dtype(device) == torch.bfloat16:
            for network in networks:
                Autocast(device).attach(network)


class Float32(Precision):
    """Full precision."""

    def dtype(self, device: torch.device) -> torch.dtype:
        return torch.float32


class BFloat16(Precision):
    """Mixed precision by autocast."""

    def dtype(self, device: torch.device) -> torch.dtype:
        return torch.bfloat16


class AutoPrecision(Precision):
    """bfloat16 where the hardware has units for it, float32 otherwise (emulation is many times slower)."""

    def dtype(self, device: torch.device) -> torch.dtype:
        return torch.bfloat16 if has_bf16_units(device) else torch.float32


class Autocast:
    """Hooks that open an autocast region for exactly one module's forward pass."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.regions: list[torch.autocast] = []  # a stack: a network may call itself

    def attach(self, network: nn.Module) -> None:
        """Register the hooks."""
        network.register_forward_pre_hook(self.enter)
        network.register_forward_hook(self.leave, always_call=True)

    def enter(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Open the region."""
        region = torch.autocast(self.device.type, torch.bfloat16)
        region.__enter__()
        self.regions.append(region)

    def leave(self, network: nn.Module, inputs: tuple[Any, ...], output: Tensor | None) -> Tensor | None:
        """Close the region, also where the forward pass failed; the answer leaves it in float32."""
        self.regions.pop().__exit__(None, None, None)
        return output.float() if isinstance(output, Tensor) else output


def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_amx_tile_supported()
