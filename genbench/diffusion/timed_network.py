"""The contract of networks that are given more than one time of each image."""

from torch import nn

__all__ = ["TimedNetwork", "check_times"]


class TimedNetwork(nn.Module):
    """A network of diffusion that may be given two times of each image: `network(x, t, y)`, t (B,) or (B, 2).

    A process that asks for the change from one time to another takes no other network, since one that is made
    for a single time could not tell steps of different lengths from each other.
    """

    times: int = 1
    """Numbers that it is given as t of each image: 1, t (B,); 2, t and the length of a step (B, 2)."""


def check_times(network: nn.Module, times: int) -> None:
    """Raise ValueError unless a network takes as many times of each image as its process gives."""
    takes = network.times if isinstance(network, TimedNetwork) else 1
    if takes != times:
        raise ValueError(
            f"the process gives its network t of {times} numbers, and {type(network).__name__} takes "
            f"{takes}: use network=unet or dit with network.times={times}, or derive the network from "
            "genbench.diffusion.timed_network.TimedNetwork"
        )
