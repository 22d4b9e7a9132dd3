"""State of a causal network while tokens are drawn one after another."""

from dataclasses import dataclass, field

from torch import Tensor, nn

__all__ = ["Cache"]


@dataclass
class Cache:
    """The state of a network between two tokens of sampling, so that nothing is computed twice.

    A new one belongs to each batch of samples; the network fills it on the first token.
    """

    position: int = 0
    """The number of the token whose answer is next."""
    layers: list[tuple[Tensor, ...]] = field(default_factory=list)
    """The state of each layer, in the form that the network chooses."""
    maps: dict[nn.Module, tuple[Tensor, ...]] = field(default_factory=dict)
    """The state of a module, where modules have their own."""
