"""Classes that the options in conf/ build, by their place in the configuration.

A configuration that comes with a run directory is a stranger's file: it may build what an installed option
builds at the same place, and nothing else. The user's own command line is not held to this.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from genbench.config.option_folders import option_folders, read_option
from genbench.config.schema import Place, dotted, walk

__all__ = ["check_declared", "origins_of"]

Keys = tuple[str, ...]
"""The keys that lead to a node; an item of a list has the key ITEM, whichever it is."""

ITEM = "[]"
OF_RUN = "genbench.app.load"
"""Function that loads the trained model of a run, in the place of a model that is described."""
PACKAGE = re.compile(r"# @package (\S+)")
REFERENCE = re.compile(r"\$\{(?P<values>oc\.dict\.values:)?(?P<place>\w+(\.\w+)*)\}")


class Call(NamedTuple):
    """Class or function that a node builds; partial: it is left waiting for more arguments."""

    target: str
    partial: bool = False


class Declared:
    """Calls and references of folders of options.
    calls: place -> what options build there. references: place -> the places that options copy to it,
    as `process: ${process}` does.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.calls: dict[Keys, set[Call]] = defaultdict(set)
        self.references: dict[Keys, set[Keys]] = defaultdict(set)
        files = [(top, path) for top in folders for path in sorted(top.rglob("*.yaml"))]
        for top_folder, path in files:
            text = path.read_text()
            top = package(text, path.relative_to(top_folder).parent)
            for place, node in walk(read_option(path), top):
                keys = keys_of(place)
                if isinstance(node, Mapping) and "_target_" in node:
                    self.calls[keys].add(Call(node["_target_"], node.get("_partial_", False)))
                    if node["_target_"] == OF_RUN:  # the model of a run, whose configuration may stand here
                        self.references[keys].add(("model",))
                elif isinstance(node, str) and (found := REFERENCE.fullmatch(node)):
                    copy = (*keys, ITEM) if found["values"] else keys
                    self.references[copy].add(tuple(found["place"].split(".")))

    def legal(self, keys: Keys) -> set[Call]:
        """Return the calls that may stand at a place of a configuration whose references are resolved."""
        origins = self.with_origins({()})
        for key in keys:
            origins = self.with_origins({(*origin, key) for origin in origins})
        return {call for origin in origins for call in self.calls.get(origin, ())}

    def with_origins(self, places: Iterable[Keys]) -> set[Keys]:
        """Return places, and all those that options copy to them, directly or by way of others."""
        found, new = set[Keys](), set(places)
        while new:
            found |= new
            new = {origin for keys in new for origin in self.origins(keys)} - found
        return found

    def origins(self, keys: Keys) -> set[Keys]:
        """Return the places that options copy to a place; to items of a list, all nodes of a group."""
        copied = self.references.get(keys, set())
        if keys[-1:] != (ITEM,):
            return copied
        return copied | {call for call in self.calls if call[:-1] in copied}


def keys_of(place: Place) -> Keys:
    """Return a place without the index of each item of a list, since options say the same of all items."""
    return tuple(ITEM if isinstance(key, int) else key for key in place)


def package(text: str, folder: Path) -> Keys:
    """Return the place in the configuration where the content of an option goes."""
    said = PACKAGE.match(text)
    name = said[1] if said else ".".join(folder.parts)
    return tuple(part for part in name.split(".") if part and part != "_global_")


def declared() -> Declared:
    """Return the calls and references of all options: genbench's, those of plug-ins and of --config-dir."""
    return declared_in(tuple(option_folders()))


@cache
def declared_in(folders: tuple[Path, ...]) -> Declared:
    """Return the calls and references of folders of options, read once."""
    return Declared(folders)


def origins_of(place: Place) -> list[Keys]:
    """Return the places that installed options copy to a place of the configuration, in a fixed order.
    ("process",) for ("model", "process"), since conf/model/ddpm.yaml says process: ${process} there.
    """
    return sorted(declared().references.get(keys_of(place), ()))


def check_declared(tree: object, place: Place) -> None:
    """Raise ValueError where plain data would build what no installed option builds at its place.
    Besides `_target_`, and `_partial_` where that option has it, no key of Hydra's own is legal.
    """
    for where, node in walk(tree, place):
        if isinstance(node, Mapping) and (own := sorted(key for key in node if str(key).startswith("_"))):
            check_call(node, own, where)


def check_call(node: Mapping[str, Any], own: list[str], place: Place) -> None:
    """Raise ValueError unless an installed option has this call at a place; own: its keys for Hydra."""
    path, legal = dotted(place), declared().legal(keys_of(place))
    if foreign := [key for key in own if key not in ("_target_", "_partial_")]:
        raise ValueError(
            f"{path}.{foreign[0]} may stand in no recorded configuration, since it changes what is built: "
            "remove it, or train the run again"
        )
    target, partial = node.get("_target_"), node.get("_partial_", False)
    if not any((target, partial) == call and type(partial) is bool for call in legal):
        names = ", ".join(sorted(call.target for call in legal)) or "nothing"
        asked = f"{target!r} with _partial_={partial}" if "_partial_" in node else repr(target)
        raise ValueError(
            f"{path} would build {asked}, which no installed option builds there; a recorded configuration "
            f"may build what options do, here {names}: name the folder of its options by --config-dir, "
            "install its plug-in, or train the run again"
        )
