"""Randomness: every stream follows from the seed and a name, so that nothing depends on what ran before."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["derive", "fork", "generator", "restore", "seed_step", "state"]


def derive(seed: int, name: str, number: int = 0) -> int:
    """A 63-bit seed for the stream of this name and number; different ones are independent."""
    text = f"{seed}:{name}:{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_step(seed: int, images_seen: int) -> None:
    """Seed torch's default generators for one training step, so that a resume is exact."""
    number = derive(seed, "train", images_seen)
    # torch.manual_seed asks every kind of accelerator, which takes as long as a small step of a model.
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def generator(device: torch.device, seed: int, name: str, number: int = 0) -> torch.Generator:
    """An explicit generator of its own stream."""
    return torch.Generator(device=device).manual_seed(derive(seed, name, number))


@contextmanager
def fork(device: torch.device) -> Iterator[None]:
    """Leave torch's default generators as they were, whatever happens inside."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def state(device: torch.device) -> tuple[torch.Tensor, ...]:
    """Where torch's default generators are."""
    host = torch.random.get_rng_state()
    return (host, torch.cuda.get_rng_state(device)) if device.type == "cuda" else (host,)


def restore(where: tuple[torch.Tensor, ...], device: torch.device) -> None:
    """Bring torch's default generators back to `where` they were."""
    host, *card = where
    torch.random.set_rng_state(host)
    for there in card:
        torch.cuda.set_rng_state(there, device)
