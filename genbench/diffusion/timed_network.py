"""The contract of networks that are given more than one time of each image."""

from torch import Tensor, nn

__all__ = ["TimedNetwork", "check_times", "times_for"]


class TimedNetwork(nn.Module):
    """A network of diffusion that may be given two times of each image: `network(x, t, y)`, t (B,) or (B, 2).

    A process that asks for the change from one time to another takes no other network, since one that is made
    for a single time could not tell steps of different lengths from each other.
    """

    times: int = 1
    """Numbers that it is given as t of each image: 1, t (B,); 2, t and the length of a step (B, 2)."""
    shares_time: bool = False
    """True where t may have a single row, (1,) or (1, 2), the time of all B images, as in a sampler's steps:
    what is made of t alone is then computed once a step and not once an image."""


def times_for(network: nn.Module, t: Tensor, n: int) -> Tensor:
    """Return the times of n images as a network takes them: t of n rows as it is; t of a single row, the time
    of all of them, repeated for each image unless the network shares it."""
    shares = isinstance(network, TimedNetwork) and network.shares_time
    return t if shares or len(t) == n else t.expand(n, *t.shape[1:])


def check_times(network: nn.Module, times: int) -> None:
    """Raise ValueError unless a network takes as many times of each image as its process gives."""
    takes = network.times if isinstance(network, TimedNetwork) else 1
    if takes != times:
        raise ValueError(
            f"the process gives its network t of {times} numbers, and {type(network).__name__} takes "
            f"{takes}: use network=unet or dit with network.times={times}, or derive the network from "
            "genbench.diffusion.timed_network.TimedNetwork"
        )
