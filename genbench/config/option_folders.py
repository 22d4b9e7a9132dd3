"""Folders of options: genbench's own conf/, those of installed plug-ins, and one that the user names.

A plug-in is an installed package that declares the entry point `genbench.plugins`, whose value is a package:
the options are in its folder conf/, and what they build may lie anywhere in its top-level package. They are
found by the metadata of packages; none is imported before one of its options is checked.
"""

import os
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

__all__ = [
    "CONF",
    "OWN_OPTIONS",
    "TRAIN",
    "Plugin",
    "import_target",
    "legal_targets",
    "option_folders",
    "plugins",
    "read_option",
    "use_folder",
]

PACKAGE = Path(__file__).resolve().parents[1]
IN_CHECKOUT = (PACKAGE.parent / "conf" / "config.yaml").is_file()
CONF = PACKAGE.parent / "conf" if IN_CHECKOUT else PACKAGE / "conf"
"""Folder of genbench's own options: beside the package in a checkout, inside it once it is installed."""
TRAIN = "python main.py" if IN_CHECKOUT else "genbench train"
"""Beginning of the commands that train, as messages and pages write them."""
OF_USER = "GENBENCH_CONFIG_DIR"
"""Environment variable with the folder of --config-dir, by which every process of a command finds it."""
OWN_OPTIONS = f"options of your own are found by --config-dir DIR, or by the variable {OF_USER}"
"""Remedy where a name is unknown that may be the user's."""
OWN_TARGETS = ("genbench.", "torch.nn.", "torch.optim.", "torchmetrics.")
"""Packages that every configuration may build from; of torch no more, since torch.hub runs code."""
TARGET = re.compile(r"^[^#\n]*?\b_target_[\"']?\s*:\s*[\"']?([\w.]+)", re.MULTILINE)


class Plugin(NamedTuple):
    """An installed package that adds options.

    name: of its entry point; package: the import prefix of what its options may build; folder: its conf/.
    """

    name: str
    package: str
    folder: Path


@cache
def plugins() -> tuple[Plugin, ...]:
    """Return the installed plug-ins, in the order of their names.
    Raises ValueError where one has no folder conf/, or an option that stands in another folder too.
    """
    found = tuple(map(plugin, sorted(entry_points(group="genbench.plugins"), key=lambda point: point.name)))
    owners = dict.fromkeys(relative(CONF), "genbench")
    for each in found:
        for path in relative(each.folder):
            if path in owners:
                raise ValueError(
                    f"the plug-in {each.name} has the option {path}, which {owners[path]} has too: rename it"
                )
            owners[path] = f"the plug-in {each.name}"
    return found


def plugin(point: EntryPoint) -> Plugin:
    """Return the plug-in of an entry point. Raises ValueError where it is not there or has no conf/."""
    top, *inner = point.value.split(".")
    spec = find_spec(top)  # which imports nothing; of a dotted name it would import all but the last part
    places = list(spec.submodule_search_locations or ()) if spec else []
    folders = [folder for place in places if (folder := Path(place, *inner, "conf")).is_dir()]
    if not folders:
        raise ValueError(
            f"the plug-in {point.name} names the package {point.value!r}, which has no folder conf/ here: "
            "correct its entry point genbench.plugins, or uninstall it"
        )
    return Plugin(point.name, top, folders[0])


def relative(folder: Path) -> Iterator[str]:
    """Yield the options of a folder as GROUP/OPTION.yaml, without those of other programs at its top."""
    return (path.relative_to(folder).as_posix() for path in sorted(folder.glob("*/**/*.yaml")))


def option_folders() -> list[Path]:
    """Return the folders of options; where two have an option of one name, the first one counts.
    They are the one that the user names, by --config-dir or its variable, genbench's own, and the plug-ins'.
    """
    return [*user_folder(), CONF, *(each.folder for each in plugins())]


def user_folder() -> list[Path]:
    """Return the folder that the user names, if any. Raises ValueError where there is none at its path."""
    named = os.environ.get(OF_USER)
    return [checked_folder(named)] if named else []


def checked_folder(folder: str | Path) -> Path:
    """Return the path of the user's folder of options. Raises ValueError where there is no folder."""
    if not str(folder) or not Path(folder).is_dir():
        raise ValueError(
            f"--config-dir is {str(folder)!r}, which is not a folder: give one of GROUP/NAME.yaml, such as "
            f"schedule/mine.yaml ({OF_USER} names one for all commands)"
        )
    return Path(folder)


def read_option(path: Path) -> dict[str, Any]:
    """Read the file of an option; an empty one has no keys. Raises ValueError, with the path and the place,
    where it is not YAML or no mapping, since a plug-in or the user wrote it.
    """
    try:
        found = deepcopy(parsed(path.read_text())) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold keys with values, and holds a {type(found).__name__}")
    return found


@cache
def parsed(text: str) -> Any:  # noqa: ANN401
    """Parse the text of an option's file once, however often it is asked for."""
    try:
        # The same values as yaml.safe_load, five times as fast where PyYAML was built with libyaml.
        return yaml.load(text, Loader=yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    except yaml.YAMLError:
        return yaml.safe_load(text)  # whose message shows the place


def use_folder(folder: str | Path) -> None:
    """Add the options in a folder for the rest of this process, and for the processes that it starts.
    It takes the place of a folder that was named before. Raises ValueError where it is none.
    """
    os.environ[OF_USER] = str(checked_folder(folder).resolve())


def legal_targets() -> tuple[str, ...]:
    """Return the beginnings that a `_target_` may have: packages, or whole names in the user's own folder."""
    named = (name for folder in user_folder() for path in folder.rglob("*.yaml") for name in targets(path))
    return (*OWN_TARGETS, *(f"{each.package}." for each in plugins()), *sorted(set(named)))


def targets(path: Path) -> list[str]:
    """Return the names of the classes and functions that an option's file builds."""
    return TARGET.findall(path.read_text())


def import_target(name: str) -> Any:  # noqa: ANN401
    """Import and return what a `_target_` names, MODULE.NAME. Raises ImportError or AttributeError.
    With a folder of the user's, modules lie on Python's path, in the current folder, or beside that folder.
    """
    for folder in user_folder():
        # At the end, so that no file there takes the place of an installed module.
        sys.path += [place for place in (str(Path.cwd()), str(beside(folder))) if place not in sys.path]
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def beside(folder: Path) -> Path:
    """Return the folder that modules are imported from: the one that holds `folder`, or its whole package."""
    place = folder.resolve().parent
    while (place / "__init__.py").is_file():
        place = place.parent
    return place
