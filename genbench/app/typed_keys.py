"""The keys of a message as the user's configuration has them, whatever group their object belongs to."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["resolved_place", "with_typed_keys"]

REFERENCE = re.compile(r"\$\{([\w.]+)\}")
DOTTED = re.compile(r"(?<![\w.])([a-z_]+(?:\.[a-z_]+)*)\.(\w+)(?![\w.(])")
"""A dotted key within a sentence: network.dropout."""


def with_typed_keys(text: str, tree: Mapping[str, Any], key: str) -> str:
    """Return the message of a constructor with the keys that its arguments have in a configuration.

    A constructor knows its usual place alone, network.dropout, and its object may stand elsewhere, as
    network.encoder.dropout or autoencoder.network.encoder.dropout. tree: the configuration as plain data,
    with its references. key: the dotted place of the object that was made, model.encoder; a reference in it,
    `encoder: ${network.encoder}`, leads to where its values were typed.
    """
    nodes = list(owners(tree, key))

    def typed(found: re.Match[str]) -> str:
        before, last = found.groups()
        for place, node in nodes:
            if last in node:
                if reference := REFERENCE.fullmatch(str(node[last])):
                    return reference[1]
                within = before == place or before.startswith(f"{place}.")
                return found[0] if within else f"{place}.{last}"
        return found[0]

    return DOTTED.sub(typed, text)


def owners(tree: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield place and node of the object at a dotted key, and of what it makes itself of its arguments."""
    place, node = resolved_place(tree, key)
    yield place, node
    for name in node:
        inner, child = resolved_place(tree, f"{place}.{name}")
        if "_partial_" in child:
            yield inner, child


def resolved_place(tree: Mapping[str, Any], key: str) -> tuple[str, Mapping[str, Any]]:
    """Follow the references of an unresolved tree along a dotted key: the place where its node stands, and
    the node; an empty one where there is none.
    """
    place, node = "", tree
    for part in filter(None, key.split(".")):
        child: Any = node.get(part) if isinstance(node, Mapping) else None
        reference = REFERENCE.fullmatch(child) if isinstance(child, str) else None
        place, node = (
            resolved_place(tree, reference[1]) if reference else (f"{place}.{part}".lstrip("."), child)
        )
    return place, node if isinstance(node, Mapping) else {}
