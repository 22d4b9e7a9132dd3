"""Copies of configurations in a fraction of OmegaConf's own time: node by node, without its constructors."""

import copy
from collections import defaultdict
from typing import Any

from omegaconf import DictConfig, ListConfig
from omegaconf.base import Metadata, Node
from omegaconf.nodes import AnyNode, BooleanNode, BytesNode, FloatNode, IntegerNode, StringNode

__all__ = ["COPIERS", "PLAIN"]

LEAVES = frozenset({AnyNode, BooleanNode, BytesNode, FloatNode, IntegerNode, StringNode})
"""Nodes that are one value, which OmegaConf does not copy, and their metadata."""


def copied_tree(tree: Node, memo: dict[int, Any]) -> Node:
    """Return the copy of a configuration that OmegaConf makes, with the same parent, metadata and flags."""
    return copied(tree, tree.__dict__["_parent"], memo)


def copied(node: Node, parent: Node | None, memo: dict[int, Any]) -> Node:
    """Return a copy of a node and of all below it, with another parent. memo: of copy.deepcopy, by which the
    kinds of nodes that are not listed here are copied.
    """
    kind, known = type(node), node.__dict__
    if not (kind is DictConfig or kind is ListConfig or kind in LEAVES):
        other = copy.deepcopy(node, memo)
        other.__dict__["_parent"] = parent
        return other
    new: Node = object.__new__(kind)
    own = new.__dict__
    own.update(_parent=parent, _metadata=copied_metadata(known["_metadata"]), _flags_cache=None)
    if kind in LEAVES:
        own["_val"] = known["_val"]
        return new
    flags, content = known["_flags_cache"], known["_content"]
    own["_flags_cache"] = flags if flags is None else dict(flags)
    if isinstance(content, dict):
        content = {key: copied(child, new, memo) for key, child in content.items()}
    elif isinstance(content, list):
        content = [copied(child, new, memo) for child in content]
    own["_content"] = content  # else None, or the text of a reference
    return new


def copied_metadata(known: Metadata) -> Metadata:
    """Return a copy of the metadata of a node, whose key and types never change."""
    new: Metadata = object.__new__(type(known))
    new.__dict__.update(known.__dict__)
    new.flags = known.flags if known.flags is None else dict(known.flags)
    cache = known.resolver_cache
    new.resolver_cache = copy.deepcopy(cache) if cache else defaultdict(dict)
    return new


PLAIN = {kind: vars(kind)["__deepcopy__"] for kind in (DictConfig, ListConfig)}
"""Containers of OmegaConf -> their own method that copies."""
COPIERS = tuple((kind, "__deepcopy__", copied_tree) for kind in PLAIN)
"""The same classes, each with the name of that method and the function in its place."""
