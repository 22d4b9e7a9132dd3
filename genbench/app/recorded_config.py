"""Configurations read back from run directories, which may be a stranger's: nothing in them is executed.

They are plain values, and build what installed options build at the same place (`config.declared`), with
arguments that the signature takes (`config.schema`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genbench.config.declared import check_declared, origins_of
from genbench.config.groups import is_group
from genbench.config.schema import check, dotted, walk
from genbench.records.moved import with_current_paths
from genbench.records.recorded_overrides import OVERRIDES, read_overrides

__all__ = [
    "buildable",
    "configuration",
    "naming_record",
    "opened",
    "referring",
    "root_of",
    "value_at",
    "words_of",
]

UNMEASURED = {
    *("runs_dir", "name", "rerun", "retry_failed", "dry_run", "objective"),
    *("device", "trainer", "tracker"),
}
"""Keys of which no measurement depends: their overrides are dropped, whatever they hold."""

OPEN: ContextVar[tuple[Path, ...]] = ContextVar("OPEN", default=())
"""The runs that are being loaded, each for the sake of the one before."""


def configuration(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the configuration in the record of a run at `path`, with the current paths of moved classes.
    Raises ValueError where there is none, or where it holds anything but plain values.
    """
    config = record.get("config")
    if not isinstance(config, dict):
        raise ValueError(f"{path}/run.json holds no configuration: restore it, or train the run anew")
    if "hydra" in config:  # it would be ignored: no run records how Hydra is configured
        raise ValueError(
            f"the configuration in {path}/run.json has a node hydra, which no run writes: take it out"
        )
    for place, value in walk(config):
        if isinstance(value, str) and "${" in value:  # it could read the environment, or call a resolver
            raise ValueError(
                f"{dotted(place)} is {value!r}; a recorded configuration holds values, no interpolations: "
                "name the value"
            )
    return with_current_paths(config)


def referring(node: Any, config: Mapping[str, Any], place: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    """Return plain data with the references of installed options put back wherever both sides agree.
    node: what `config` holds at a place, by default all of it. So a change of `sampler` reaches each copy.
    """
    for origin in origins_of(place):
        if isinstance(source := value_at(config, origin), Mapping) and source == node:
            return f"${{{'.'.join(origin)}}}"
    if not isinstance(node, Mapping):
        return node
    return {key: referring(child, config, (*place, key)) for key, child in node.items()}


def value_at(node: Any, place: Sequence[str]) -> Any:  # noqa: ANN401
    """Return the value or node of plain data at a place, such as ("budget", "images"), None if none is there.
    place: the keys that lead to it, from the outermost to the innermost one.
    """
    for key in place:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def buildable(tree: Mapping[str, Any], nodes: Iterable[str]) -> DictConfig:
    """Return the named nodes of a resolved configuration that came with a run, checked and ready to be built.
    Raises ValueError where one of them is missing or would build what it must not.
    """
    for key in nodes:
        if not isinstance(tree.get(key), Mapping) or "_target_" not in tree[key]:
            raise ValueError(f"its configuration builds no {key}: restore it, or train the run anew")
        check_declared(tree[key], (key,))
        check(tree[key], key)
    return OmegaConf.create({key: tree[key] for key in nodes})


@contextmanager
def naming_record(path: str | Path) -> Iterator[None]:
    """Give a ValueError about the recorded configuration inside the block the path of the run's record, since
    its own words could be about what the user asked for.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{path}/run.json is damaged, of another version, or of a plug-in that is not installed here "
            f"(--config-dir DIR names a folder of options): {error}"
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[None]:
    """Note inside the block that a run is being loaded, since it may name other runs as parts of its model.
    Raises ValueError where a run is needed to load itself, which would never end.
    """
    path = path.resolve()
    if path in OPEN.get():
        raise ValueError(f"{path} takes a part of its model from itself: name another run as run_dir")
    token = OPEN.set((*OPEN.get(), path))
    try:
        yield
    finally:
        OPEN.reset(token)


def words_of(run_dir: Path) -> list[str]:
    """Return the overrides that a run was composed of and that its data and metrics may depend on.
    Raises ValueError where they are lost, damaged, or more than choices of options and plain values.
    """
    path = run_dir / OVERRIDES
    if not path.is_file():
        raise ValueError(f"{path} is lost, and with it what the run was measured by: leave data and metrics")
    words = [word for word in read_overrides(run_dir) if root_of(word) not in UNMEASURED]
    for word in words:
        check_word(word, path)
    return words


def root_of(word: str) -> str:
    """Return the first name in the key of an override: trainer of +trainer.batch_size=8.
    A group, a package and a deletion are read alike: data of data@x=digits, tuned of ~tuned.
    """
    return re.split(r"[.=@]", word.lstrip("+~"))[0]


def check_word(word: str, path: Path) -> None:
    """Raise ValueError on an override that reaches beyond values and the options in conf/."""
    key, equals, value = word.lstrip("+~").partition("=")
    is_key = re.fullmatch(r"\w[\w./@]*", key) and ".." not in key and not key.startswith("hydra")
    leads_out = is_group(key.partition("@")[0]) and not re.fullmatch(r"[\w, \[\]'\"-]*", value)
    if not is_key or leads_out or "${" in word or not (equals or word.startswith("~")):
        raise ValueError(
            f"{path} holds {word!r}: it may hold only options of conf/ and values, as in model=ddpm seed=1"
        )
