"""Which run a configuration describes."""

import hashlib
import json
from typing import Any

from genbench.records.moved import with_first_paths

__all__ = ["hashed"]

MACHINE_ONLY = (
    "image",
    "name",
    "device",
    "runs_dir",
    "rerun",
    "retry_failed",
    "dry_run",
    "objective",
    "tracker",
    "data.download",
    "features.weights",
    "metrics.features.weights",
    "trainer.checkpoint_every_seconds",
    "trainer.on_nonfinite",
    "trainer.devices",
    "trainer.compile",
)
"""Keys that change where and how a run is kept, but none of its numbers: the identity leaves them out.

trainer.on_nonfinite changes no number of a training that meets no such batch; one that stopped at one can go
on from its checkpoint without it.
"""


def hashed(tree: dict[str, Any]) -> str:
    """The hash of a resolved configuration without machine-only keys: 64 hex digits."""
    tree = with_first_paths(tree)
    # Sets that can be downloaded have published sums, wherever they lie; any other folder is its content.
    machine_only = (*MACHINE_ONLY, "data.root") if "download" in tree["data"] else MACHINE_ONLY
    for key in machine_only:
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(leaf, None)
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()
