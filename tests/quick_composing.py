"""Composes configurations in half of the time, by remembering what Hydra and OmegaConf parse again for each.

All of it is exact: what is parsed depends on the content of a file, or on the text of a reference, alone, and
a map of choices is made where a default refers to one. tests/test_quick_composing.py compares both.
"""

import io
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import omegaconf
from hydra._internal import defaults_list
from hydra.core.default_element import InputDefault
from omegaconf import DictConfig, OmegaConf

__all__ = ["load", "plain", "quick_load", "remember"]

load, parse, interpolation_map = OmegaConf.load, omegaconf.base.parse, defaults_list._create_interpolation_map


def quick_load(file: str | Path | IO[Any]) -> Any:
    """Read a YAML file as OmegaConf does, without parsing a content again that was read before."""
    if isinstance(file, str | Path):
        return load(file)
    try:
        return pickle.loads(parsed(file.read()))
    except Exception:  # the message of another reading names the file
        file.seek(0)
        return load(file)


@cache
def parsed(content: str) -> bytes:
    """Parse the content of a YAML file; the configuration is returned as bytes, since it will be changed."""
    return pickle.dumps(load(io.StringIO(content)))


def quick_map(overrides: Any, defaults: Sequence[InputDefault], self_added: bool) -> DictConfig:
    """Return the choices that some defaults may refer to; none where no default refers to any."""
    refers = any(not default.is_self() and default.is_interpolation() for default in defaults)
    return interpolation_map(overrides, defaults, self_added) if refers else DictConfig({})


PATCHES = [
    patch.object(OmegaConf, "load", staticmethod(quick_load)),
    *(patch.object(place, "parse", cache(parse)) for place in (omegaconf.base, omegaconf._utils)),
    patch.object(defaults_list, "_create_interpolation_map", quick_map),
]


def remember() -> None:
    """Put the quick functions in the place of those of Hydra and OmegaConf, for the rest of the process."""
    for each in PATCHES:
        each.start()


@contextmanager
def plain() -> Iterator[None]:
    """Have Hydra and OmegaConf compose as they do without this file, inside the block."""
    for each in PATCHES:
        each.stop()
    try:
        yield
    finally:
        remember()
