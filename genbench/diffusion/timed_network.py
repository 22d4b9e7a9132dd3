"""The contract of networks that are given more than one time of each image."""

from torch import nn

__all__ = ["TimedNetwork"]


class TimedNetwork(nn.Module):
    """A network of diffusion that may be given two times of each image: `network(x, t, y)`, t (B,) or (B, 2).

    A process that asks for the change from one time to another takes no other network, since one that is made
    for a single time could not tell steps of different lengths from each other.
    """

    times: int = 1
    """Numbers that it is given as t of each image: 1, t (B,); 2, t and the length of a step (B, 2)."""
