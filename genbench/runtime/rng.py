"""Random streams that follow from the seed and a name, so that no draw depends on what ran before it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["derive", "fork", "generator", "restore", "seed_step", "state"]


def derive(seed: int, name: str, number: int = 0) -> int:
    """Hash (seed, name, number) to a 63-bit seed for the stream of this name and number; different ones are
    independent, and the same ones repeat on every machine.
    """
    text = f"{seed}:{name}:{number}"  # recorded runs draw by these texts: they must not change
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_step(seed: int, images_seen: int) -> None:
    """Seed torch's default generators, of the CPU and of all GPUs, for one training step from (seed, images
    seen), so that a resumed training draws what an uninterrupted one does.
    """
    number = derive(seed, "train", images_seen)
    # torch.manual_seed asks every kind of accelerator, which takes as long as a small step of a model.
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def generator(device: torch.device, seed: int, name: str, number: int = 0) -> torch.Generator:
    """Make an explicit generator on a device for the stream of a name and number; the same arguments give the
    same draws, whatever was drawn before.
    """
    return torch.Generator(device=device).manual_seed(derive(seed, name, number))


@contextmanager
def fork(device: torch.device) -> Iterator[None]:
    """Leave torch's default generators, of the CPU and of the device, in the state in which they were before
    the block, whatever is drawn or seeded inside.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


def state(device: torch.device) -> tuple[torch.Tensor, ...]:
    """Read the state of torch's default generators, of the CPU and, for a GPU, of that device: uint8 tensors,
    as `restore` takes them.
    """
    host = torch.random.get_rng_state()
    return (host, torch.cuda.get_rng_state(device)) if device.type == "cuda" else (host,)


def restore(where: tuple[torch.Tensor, ...], device: torch.device) -> None:
    """Set torch's default generators to a state that `state` returned on the same device, so that the next
    draws are those that followed it.
    """
    host, *card = where
    torch.random.set_rng_state(host)
    for there in card:
        torch.cuda.set_rng_state(there, device)
