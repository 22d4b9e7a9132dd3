"""Compositions in a part of the time: what Hydra and OmegaConf parse and merge again for each is remembered.

All of it is exact. What is parsed depends on the content of a file, or on the text of a reference, alone; a
map of choices is made only where a default refers to one. tests/app/test_composing_memory.py compares with
plain Hydra, whose internals these functions take the place of; their names are those of hydra-core 1.3.
"""

import copy
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, Any

import omegaconf
from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList, create_defaults_list
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import DefaultsTreeNode, InputDefault, ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser as GrammarParser
from omegaconf.grammar_parser import parse
from omegaconf.grammar_visitor import GrammarVisitor

from genbench.app.config_copies import COPIERS

__all__ = ["ComposedJobs", "parsed_once", "replaced", "same_choices"]

FILES, TEXTS = 1024, 8192
"""Contents of files, and texts with references, that are remembered at most."""
JOBS = 200
"""Configurations of jobs that wait for their start; those beyond are composed again, which saves memory."""

plain_rule, plain_value = OverridesParser.parse_rule, GrammarVisitor.visitConfigValue
load, interpolation_map = OmegaConf.load, defaults_list._create_interpolation_map


@contextmanager
def parsed_once() -> Iterator[None]:
    """Let all compositions inside a `with` block parse each file, and each reference, once."""
    with ExitStack() as stack:
        for place, name, quick in (*PARSERS, *COPIERS):
            stack.enter_context(replaced(place, name, quick))
        yield


@contextmanager
def replaced(place: object, name: str, new: object) -> Iterator[None]:
    """Put a function in the place of one of a module or class for the length of a `with` block."""
    before = vars(place)[name]
    setattr(place, name, new)
    try:
        yield
    finally:
        setattr(place, name, before)


def quick_load(file: str | Path | IO[Any]) -> Any:  # noqa: ANN401
    """Read a YAML file as OmegaConf does, without parsing a content again that was read before."""
    if isinstance(file, str | Path):
        return load(file)
    try:
        return copy.deepcopy(loaded(file.read()))
    except Exception:  # the message of another reading names the file
        file.seek(0)
        return load(file)


@lru_cache(FILES)
def loaded(content: str) -> Any:  # noqa: ANN401
    """Parse the content of a YAML file; callers copy the configuration before they change it."""
    return load(io.StringIO(content))


def quick_map(overrides: Any, defaults: list[InputDefault], self_added: bool) -> DictConfig:  # noqa: ANN401
    """Return the choices that some defaults may refer to; none where no default refers to any."""
    refers = any(not default.is_self() and default.is_interpolation() for default in defaults)
    return interpolation_map(overrides, defaults, self_added) if refers else DictConfig({})


@cache
def usual_parser() -> OverridesParser:
    """Return the parser of overrides without a loader, which Hydra makes anew for each that it reads."""
    return OverridesParser(create_functions())


def quick_parser(kind: type[OverridesParser], config_loader: ConfigLoader | None = None) -> OverridesParser:
    """Return the one parser without a loader, or a new one with it."""
    return usual_parser() if config_loader is None else OverridesParser(create_functions(), config_loader)


def quick_rule(parser: OverridesParser, s: str, rule_name: str) -> Any:  # noqa: ANN401
    """Parse the text of an override once, but for one whose value is drawn at random as it is parsed."""
    if parser is not usual_parser() or "shuffle" in s:
        return plain_rule(parser, s, rule_name)
    return parsed_rule(s, rule_name)


@lru_cache(TEXTS)
def parsed_rule(s: str, rule_name: str) -> Any:  # noqa: ANN401
    """Parse a text by a rule of Hydra's grammar; nobody changes what is returned."""
    return plain_rule(usual_parser(), s, rule_name)


def quick_value(visitor: GrammarVisitor, tree: GrammarParser.ConfigValueContext) -> Any:  # noqa: ANN401
    """Return what a parsed text refers to, without a visit of its tree where it is one reference: ${a.b}."""
    if (key := only_key(tree)) is None:
        return plain_value(visitor, tree)
    return visitor.node_interpolation_callback(key, visitor.memo)


@lru_cache(TEXTS)
def only_key(tree: GrammarParser.ConfigValueContext) -> str | None:
    """Return the key a.b of a parsed text ${a.b}; of any other text None."""
    found = re.fullmatch(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}<EOF>", tree.getText(), re.ASCII)
    return found and found[1]


PARSERS: tuple[tuple[object, str, object], ...] = (
    (OverridesParser, "create", classmethod(quick_parser)),
    (OverridesParser, "parse_rule", quick_rule),
    (OmegaConf, "load", staticmethod(quick_load)),
    *((place, "parse", lru_cache(TEXTS)(parse)) for place in (omegaconf.base, omegaconf._utils)),
    (GrammarVisitor, "visitConfigValue", quick_value),
    (defaults_list, "_create_interpolation_map", quick_map),
)
"""Functions that parse, each with the module or class that it is looked up in."""


@contextmanager
def same_choices() -> Iterator[None]:
    """Let compositions inside a `with` block that choose the same options share the list of these, and what
    their files hold together; only settings of keys, such as seed=1, are then applied to each.

    No change of an option's file is seen inside the block: it is for one command, with all jobs of its sweep.
    """
    plain_merge = vars(ConfigLoaderImpl)[MERGE]
    lists, merged = dict[tuple[object, ...], DefaultsList](), dict[int, DictConfig]()

    def quick_list(
        repo: IConfigRepository,
        config_name: str | None,
        overrides_list: list[Override],
        prepend_hydra: bool,
        skip_missing: bool,
    ) -> DefaultsList:
        own = [each for each in overrides_list if is_setting(each, repo)]
        decide = (each for each in overrides_list if each not in own or each.is_hydra_override())
        folders = (f"{source.scheme()}{source.path}" for source in repo.get_sources())
        key = (config_name, prepend_hydra, *folders, None, *(each.input_line for each in decide))
        if key not in lists:
            found = create_defaults_list(repo, config_name, overrides_list, prepend_hydra, skip_missing)
            if has_missing(found.defaults_tree):  # which is an error, or not, as `skip_missing` says
                return found
            lists[key] = found
        return replace(lists[key], config_overrides=own)

    def quick_merge(
        loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        if not any(defaults is each.defaults for each in lists.values()):
            return plain_merge(loader, defaults, repo)
        if id(defaults) not in merged:
            merged[id(defaults)] = plain_merge(loader, defaults, repo)
        return copy.deepcopy(merged[id(defaults)])

    with (
        replaced(config_loader_impl, "create_defaults_list", quick_list),
        replaced(ConfigLoaderImpl, MERGE, quick_merge),
    ):
        yield


MERGE = "_compose_config_from_defaults_list"
"""Name of the method of Hydra's loader that merges the files of a list of options."""


def has_missing(tree: DefaultsTreeNode) -> bool:
    """Return True where a group in a tree of options has no option yet: ???."""
    children = (child for child in tree.children or ())
    nodes = [child if isinstance(child, DefaultsTreeNode) else DefaultsTreeNode(child) for child in children]
    return tree.node.is_missing() or any(map(has_missing, nodes))


def is_setting(override: Override, repo: IConfigRepository) -> bool:
    """Return True for an override of a key, which decides nothing about which options there are; of what is
    neither a key nor one option, such as several values, False.
    """
    if override.is_sweep_override():
        return False
    return isinstance(override.value(), dict) or not repo.group_exists(override.key_or_group)


class ComposedJobs(ConfigLoaderImpl):
    """Hydra's loader for the jobs of a sweep that run in this process, each of which is composed twice: as it
    is checked, before the first one starts, and as it starts. The second time it returns what it remembers.
    """

    def __init__(self, plain: ConfigLoaderImpl) -> None:
        super().__init__(plain.get_search_path())
        self.waiting: dict[tuple[str, ...], DictConfig] = {}

    def composed(self, master: DictConfig, words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
        """Compose a job of overrides, and remember it until it starts: the configuration, and a copy without
        Hydra's part. master: the configuration of the whole sweep.
        """
        cfg = super().load_sweep_config(master, list(words))
        own = copy.deepcopy(cfg)
        if len(self.waiting) < JOBS:
            self.waiting[tuple(words)] = copy.deepcopy(cfg)
        with open_dict(own):
            del own["hydra"]
        return cfg, own

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the configuration of a job as it starts, composed now unless it was remembered."""
        found = self.waiting.pop(tuple(sweep_overrides), None)
        if found is None:
            return super().load_sweep_config(master_config, sweep_overrides)
        return found
