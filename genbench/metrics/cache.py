"""Files of tensors in the cache: written whole, checked when read, and computed again where damaged."""

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
from genbench.runtime.processes import Processes

__all__ = ["Stored", "cached", "cached_together", "key", "load", "save"]


class Stored(NamedTuple):
    """The content of one cache file: named tensors, and facts about them that are JSON values, such as
    counts; checked as a whole when it is read.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, object]


def cached(path: Path, make: Callable[[], Stored]) -> Stored:
    """Read the cache file at `path`, or compute it by `make` and write it where it is missing or damaged.

    A damaged file is reported by a warning. Of several processes one computes, the others wait for its file.
    Where nothing can be written a warning says so, and the result serves this process alone.
    """
    if (found := sound(path)) is not None:
        return found
    with locked(path):  # an hour of features should be computed once, not by each job of a sweep
        if (found := sound(path, warn=True)) is not None:  # by another process, meanwhile
            return found
        stored = make()
        with optional(path):
            # What killed processes left behind, and a damaged file or link under this name.
            remove_leftovers([path.parent], path.name)
            clear(path)
            save(path, stored)
        return stored


def cached_together(path: Path, make: Callable[[], Stored], processes: Processes) -> Stored:
    """Read or make the content of a cache file as `cached` does, where all processes of a run make it
    together: each of them calls `make`, which may use their collective methods, and the first one's is what
    all of them return. The first process alone reads and writes the file. What one raises, all raise.
    """
    if processes.count == 1:
        return cached(path, make)
    begun: list[bool] = []

    def begin() -> Stored:
        begun.append(processes.broadcast(True))  # the others wait to hear whether they are needed
        return make()

    stored, failure = Stored({}, {}), None
    try:
        if processes.first:
            stored = cached(path, begin)
        elif processes.broadcast(False):
            make()
    except Exception as error:
        failure = error
    if processes.first and not begun:
        processes.broadcast(False)
    processes.raise_together(failure)
    tensors, facts = processes.broadcast((stored.tensors, stored.facts))
    return Stored(tensors, facts)


def sound(path: Path, *, warn: bool = False) -> Stored | None:
    """Read what `save` wrote at `path`; None where it is missing or damaged. warn: report damage by a
    warning, which the one process that computes the file anew does.
    """
    if not os.path.lexists(path):  # a dangling link is damage, not absence
        return None
    try:
        return load(path)
    except ValueError as error:
        if warn:
            warnings.warn(f"{error}; it is computed again", stacklevel=3)
        return None


def key(parts: Mapping[str, object]) -> str:
    """Hash named parts, JSON values in any order, to 16 hex digits, which change with any of them; for the
    name of a file in the cache, so that other settings never read it.
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def save(path: Path, stored: Stored) -> None:
    """Write tensors and facts as one safetensors file with checksums, by one rename, so that no reader sees a
    part of it; equal contents give equal bytes. Raises OSError where the disk does not allow it.
    """
    from safetensors.torch import save as to_bytes

    facts = stored.facts
    seal = {"sha256": digest(stored.tensors), "facts": facts, "facts_sha256": checksum(facts)}
    # One entry alone: safetensors writes several in random order.
    content = to_bytes(stored.tensors, {"genbench": json.dumps(seal, sort_keys=True)})
    with atomic_file(path) as file:
        file.write(content)


def load(path: Path) -> Stored:
    """Read the tensors and facts that `save` wrote at `path`, and compare their checksums with those that
    stand in the file.

    Raises ValueError, with the path and the reason, where the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if state_of(path) is None:
        raise ValueError(f"{path} is damaged (it is not a regular file)")
    try:
        with safe_open(path, "pt") as file:
            seal = json.loads(file.metadata()["genbench"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        # The first files had no checksum of their facts.
        facts, sums = seal["facts"], (seal["sha256"], seal.get("facts_sha256", checksum(seal["facts"])))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    if sums != (digest(tensors), checksum(facts)):
        raise ValueError(f"{path} is damaged (its checksum is wrong)")
    return Stored(tensors, facts)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Compute the sha256, 64 hex digits, over names, shapes, types and bytes of tensors, in the order of
    their names, so that equal contents give equal digests.
    """
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        sha.update(tensors[name].contiguous().numpy().data)
    return sha.hexdigest()
