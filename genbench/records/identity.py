"""The identity of a run: a hash of the configuration, without what changes none of its numbers."""

import hashlib
import json
from typing import Any

from genbench.records.later_keys import without_idle_keys
from genbench.records.moved import with_first_paths

__all__ = ["hashed", "without_machine_keys"]

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
    "guidance.weights",  # whose hash is a key of its own
    "process.guidance.weights",
    "model.process.guidance.weights",
    "guidance.guide.run_dir",
    "process.guidance.guide.run_dir",
    "model.process.guidance.guide.run_dir",
    "init.run_dir",  # whose fingerprint is a key of its own
    "model.init.run_dir",
    "trainer.checkpoint_every_seconds",
    "trainer.on_nonfinite",
    "trainer.devices",
    "trainer.compile",
    "trainer.cuda_graphs",
    "trainer.animation",
)
"""Keys that change where and how a run is computed and stored, but none of its numbers.

trainer.on_nonfinite changes no number of a training without such batches; one that stopped at such a batch
can resume from its checkpoint with `skip`.
"""


def hashed(tree: dict[str, Any]) -> str:
    """Compute the identity of a resolved configuration: a hash without machine-only keys, 64 hex digits; the
    configuration itself is not changed.

    Classes count by their first paths, so that moving a class changes no identity, and keys of later versions
    only where they do something. Runs of one identity are one run: the same command finds its directory by
    it.
    """
    tree = without_machine_keys(without_idle_keys(with_first_paths(tree)))
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def without_machine_keys(tree: dict[str, Any]) -> dict[str, Any]:
    """Remove the keys of a resolved configuration, in place, that change none of a run's numbers, such as the
    paths of its machine, and return it.
    """
    # Sets that can be downloaded have published checksums, wherever they lie; other folders count by path.
    machine_only = (*MACHINE_ONLY, "data.root") if "download" in tree["data"] else MACHINE_ONLY
    for key in machine_only:
        *parents, leaf = key.split(".")
        node: Any = tree
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.pop(leaf, None)
    return tree
