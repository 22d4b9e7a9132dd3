"""Randomness: every stream follows from the seed and a name, so that nothing depends on what ran before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["derive", "fork", "generator", "seed_step"]


def derive(seed: int, *keys: str | int) -> int:
    """A 63-bit seed for the stream named by `keys`; different names give independent streams."""
    text = ":".join(map(str, (seed, *keys)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_step(seed: int, images_seen: int) -> None:
    """Seed torch's default generators for one training step, so that a resume is exact."""
    torch.manual_seed(derive(seed, "train", images_seen))


def generator(device: torch.device, seed: int, *keys: str | int) -> torch.Generator:
    """An explicit generator of its own stream."""
    return torch.Generator(device=device).manual_seed(derive(seed, *keys))


@contextmanager
def fork(device: torch.device) -> Iterator[None]:
    """Leave torch's default generators as they were, whatever happens inside."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
