"""Tensors kept on disk between runs: complete and sound, or made anew."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from genbench.records.files import atomic_file, checksum, clear, remove_leftovers, state_of
from genbench.runtime.disk import locked, optional

__all__ = ["Stored", "cached", "key", "load", "save"]


class Stored(NamedTuple):
    """Named tensors, and what is to be said of them (JSON values)."""

    tensors: dict[str, Tensor]
    facts: dict[str, object]


def cached(path: Path, make: Callable[[], Stored]) -> Stored:
    """What lies at `path`; made there by `make` where it is missing, or damaged (with a warning).

    Of several processes one makes it, the others wait. Where nothing can be written it is made for this
    process alone (with a warning).
    """
    if (found := sound(path)) is not None:
        return found
    with locked(path):
        if (found := sound(path, warn=True)) is not None:  # by another process, meanwhile
            return found
        stored = make()
        with optional(path):
            remove_leftovers([path.parent], path.name)
            clear(path)
            save(path, stored)
        return stored


def sound(path: Path, *, warn: bool = False) -> Stored | None:
    """Return what `save` wrote at `path`, None where it is missing or damaged, which a warning may tell."""
    if not os.path.lexists(path):
        return None
    try:
        return load(path)
    except ValueError as error:
        if warn:
            warnings.warn(f"{error}; it is made anew", stacklevel=3)
        return None


def key(parts: Mapping[str, object]) -> str:
    """16 hex digits that change with any of the named parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def save(path: Path, stored: Stored) -> None:
    """Write a safetensors file under its name by one rename; equal contents give equal bytes."""
    from safetensors.torch import save as to_bytes

    facts = stored.facts
    seal = {"sha256": digest(stored.tensors), "facts": facts, "facts_sha256": checksum(facts)}
    # One entry alone: safetensors writes several in random order.
    content = to_bytes(stored.tensors, {"genbench": json.dumps(seal, sort_keys=True)})
    with atomic_file(path) as file:
        file.write(content)


def load(path: Path) -> Stored:
    """Read what `save` wrote. Raises ValueError where the file is damaged."""
    from safetensors import SafetensorError, safe_open

    if state_of(path) is None:
        raise ValueError(f"{path} is damaged (it is no regular file)")
    try:
        with safe_open(path, "pt") as file:
            seal = json.loads(file.metadata()["genbench"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts, sums = seal["facts"], (seal["sha256"], seal.get("facts_sha256", checksum(seal["facts"])))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    if sums != (digest(tensors), checksum(facts)):
        raise ValueError(f"{path} is damaged (its checksum is wrong)")
    return Stored(tensors, facts)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of named tensors, whatever their order."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        sha.update(tensors[name].contiguous().numpy().data)
    return sha.hexdigest()
