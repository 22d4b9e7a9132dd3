"""Copies of configurations are those of OmegaConf in every node, and share nothing that can change."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.base import Node

from genbench.app.composing_memory import replaced
from genbench.app.config_copies import COPIERS, PLAIN
from tests.conftest import ROOT


class Colour(Enum):
    RED = 1


@dataclass
class Typed:
    """One field of each kind of node."""

    colour: Colour = Colour.RED
    path: Path = Path("a")
    content: bytes = b"a"
    count: int | str = 3
    maybe: float | None = None
    on: bool = True
    counts: dict[str, int] = field(default_factory=lambda: {"a": 1})
    names: list[str] = field(default_factory=lambda: ["b"])


def composed() -> DictConfig:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=["model=unclip", "data=captioned"], return_hydra_config=True)


def flagged() -> DictConfig:
    cfg = OmegaConf.create({"a": {"b": [1, {"c": None}], "text": "${a.b}"}, "ask": "???", "none": None})
    cfg.a = {**cfg.a, "whole": OmegaConf.create("${a.b}"), 1: True, 2.5: "x"}
    OmegaConf.set_readonly(cfg.a, True)
    OmegaConf.set_struct(cfg, True)
    assert "zz" not in cfg.a.b[1]  # by which flags are remembered
    OmegaConf.register_new_resolver("test.cached", lambda: [7], use_cache=True, replace=True)
    cfg.none = "${test.cached:}"
    assert cfg.none == [7]
    return cfg


TREES = {"composed": composed, "flagged": flagged, "typed": lambda: OmegaConf.structured(Typed)}


@contextmanager
def copying(quick: bool) -> Iterator[None]:
    with ExitStack() as stack:
        for kind, name, function in COPIERS:
            stack.enter_context(replaced(kind, name, function if quick else PLAIN[kind]))
        yield


def nodes(node: Node) -> Iterator[Node]:
    yield node
    content = node.__dict__.get("_content")
    below = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    for child in below:
        assert child.__dict__["_parent"] is node
        yield from nodes(child)


def facts(node: Node) -> list[object]:
    own = node.__dict__
    content = own.get("_content")
    held = (
        list(content) if isinstance(content, dict) else len(content) if isinstance(content, list) else content
    )
    others = {key: value for key, value in own.items() if key not in ("_content", "_parent", "_metadata")}
    simple = {key: value for key, value in others.items() if not isinstance(value, Node)}
    return [type(node), type(own["_metadata"]), vars(own["_metadata"]), held, simple]


@pytest.mark.parametrize("tree", TREES)
def test_a_copy_has_the_nodes_metadata_flags_and_parents_of_omegaconfs_own(tree: str) -> None:
    cfg = TREES[tree]()
    before = [facts(node) for node in nodes(cfg)]
    with copying(quick=False):
        expected = copy.deepcopy(cfg)
    with copying(quick=True):
        found = copy.deepcopy(cfg)
    assert [facts(node) for node in nodes(found)] == [facts(node) for node in nodes(expected)]
    assert [facts(node) for node in nodes(cfg)] == before
    assert found == cfg


@pytest.mark.parametrize("tree", TREES)
def test_a_copy_shares_no_node_flag_or_cache_with_the_original(tree: str) -> None:
    cfg = TREES[tree]()
    with copying(quick=True):
        found = copy.deepcopy(cfg)

    def changeable(node: Node) -> set[int]:
        metadata = node.__dict__["_metadata"]
        return {id(node), id(metadata), id(metadata.flags), id(metadata.resolver_cache)}

    assert not set.union(*map(changeable, nodes(cfg))) & set.union(*map(changeable, nodes(found)))


def test_a_part_is_copied_with_the_parent_that_it_has() -> None:
    cfg = flagged()
    with copying(quick=True):
        part, entries = copy.deepcopy(cfg.a), copy.deepcopy(cfg.a.b)
    assert part._get_parent() is cfg
    assert OmegaConf.is_readonly(part)
    assert isinstance(entries, ListConfig)
    assert part.text == entries
