"""Folders of pretrained models, on this disk or on the Hub, which other people may have made: checks that are
common to the libraries that read them. Nothing in such a folder is executed.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench.records.untrusted_files import RECORD_BYTES, parse_json, read_regular
from genbench.runtime.downloads import may_download
from genbench.runtime.memory import is_out_of_memory

__all__ = ["check_address", "check_no_code", "explained", "is_hub_name", "quiet", "read_json", "unavailable"]

ON_HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")
"""A name on the Hub of Hugging Face, USER/NAME."""
FOREIGN = ("auto_map", "quantization_config", "attn_implementation", "_attn_implementation")
"""Keys in the configuration of a component that would load code or kernels from elsewhere."""


def check_address(path: str, revision: str | None, *, key: str, index: str, remedy: str) -> None:
    """Raise ValueError unless a path is a folder with a file named `index`, or may be a name on the Hub.

    key: the group of the settings path and revision, for the message. remedy: what to give in the place of a
    folder without that file.
    """
    if Path(path).is_dir():
        if revision is not None:
            raise ValueError(f"{key}.revision is {revision}, and {path} is a folder: leave it out")
        if not (Path(path) / index).is_file():
            raise ValueError(f"{path} holds no {index}: give {remedy}")
    elif not is_hub_name(path):
        raise ValueError(f"{key}.path is {path!r}, which is not a folder: give one, or USER/NAME on the Hub")


def is_hub_name(path: str) -> bool:
    """Return True for USER/NAME, a name on the Hub, that is no folder here."""
    return ON_HUB.fullmatch(path) is not None and not Path(path).is_dir()


def unavailable(path: str, key: str) -> str:
    """Return the beginning of the message on a name that is no folder, and that the Hub does not give."""
    where = "" if may_download() else "; a recorded configuration downloads nothing: give a folder"
    return f"{key}.path is {path!r}, no folder here, and the Hub does not give it{where}"


def check_no_code(folder: Path) -> None:
    """Raise ValueError where a folder holds code, or a configuration that could load code from elsewhere."""
    if code := sorted(folder.rglob("*.py")):
        raise ValueError(f"{code[0]} is code, which is never executed: remove it from the folder")
    if adapters := sorted(folder.rglob("adapter_config.json")):
        raise ValueError(f"{adapters[0]} names weights of another place, which are not read: remove it")
    for path in sorted(folder.rglob("config.json")):
        if found := foreign(read_json(path)):
            raise ValueError(f"{path} has {found[0]}, which could load code from elsewhere: remove it")


def foreign(node: object) -> list[str]:
    """Return the keys of plain data that are among FOREIGN, also in parts such as the text_config of CLIP."""
    if isinstance(node, list):
        return [key for child in node for key in foreign(child)]
    if not isinstance(node, dict):
        return []
    inner = [key for child in node.values() for key in foreign(child)]
    return [*(key for key in FOREIGN if key in node), *inner]


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of JSON. Raises ValueError where it is none, or damaged."""
    try:
        found = parse_json(read_regular(path, at_most=RECORD_BYTES))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object")
    return found


@contextmanager
def quiet(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Let the libraries print no bars and no warnings inside the block; errors are raised, not printed."""
    loggers = [module.utils.logging for module in modules.values()]
    before = [(each, each.get_verbosity(), each.is_progress_bar_enabled()) for each in loggers]
    for each in loggers:
        each.set_verbosity_error()
        each.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for each, level, shown in before:
            each.set_verbosity(level)
            if shown:
                each.enable_progress_bar()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the library raises inside the block into one message that begins with `what`."""
    try:
        yield
    except Exception as error:  # of its own, of safetensors, of connections: they have no common type
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{what}: {said[:300]}") from error
