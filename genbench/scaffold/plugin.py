"""A new plug-in of one member: its name is checked, its files are written, and its commands named."""

import keyword
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from genbench.config.groups import option_file
from genbench.records.metric_kinds import KINDS as METRIC_KINDS
from genbench.records.metric_kinds import SPREADS

__all__ = ["KINDS", "Kind", "Plan", "plan", "write"]

TEMPLATES = Path(__file__).with_name("templates")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Kind(NamedTuple):
    """A kind of member. group: the folder of conf/ that its option is in; trying: overrides that train with
    it, where NAME stands for its name."""

    group: str
    trying: str


KINDS = {
    "family": Kind("model", "model=NAME"),
    "schedule": Kind("schedule", "model=ddpm schedule=NAME"),
    "data": Kind("data", "model=vae data=NAME features=classifier"),
    "score": Kind("scores", "model=vae 'scores=[fid,NAME]'"),
}
"""The kinds of members that can be written, by the word on the command line."""


class Plan(NamedTuple):
    """A plug-in that can be written. files: path below its folder -> text; kind, name: of its member."""

    kind: str
    name: str
    files: dict[str, str]

    def commands(self, out: Path) -> dict[str, str]:
        """Return the commands that install, try, test and, of a family, check the plug-in in a folder, each
        after its name; also the one that tries it where it is not installed.
        """
        trying = f"{KINDS[self.kind].trying.replace('NAME', self.name)} budget.images=5000"
        folder, conf = shlex.quote(str(out)), shlex.quote(str(out / self.name / "conf"))
        found = {
            "install": f"pip install -e {folder}",
            "try": f"genbench train {trying}",
            "without installing": f"genbench train --config-dir {conf} {trying}",
            "test": f"python -m pytest {folder}",
        }
        check = f"genbench check-family model={self.name} --config-dir {conf}"
        return found | ({"check": check} if self.kind == "family" else {})


def plan(kind: str, name: str) -> Plan:
    """Return the files of a new plug-in with one member, as text; nothing is written.

    kind: one of `KINDS`; name: of the package, of the module's class in capitals, and of the option. Raises
    ValueError on a name that no package or option can have, or that another one has.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    check_name(kind, name)
    group = KINDS[kind].group
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    words = {"name": name, "kind": kind, "Class": "".join(part.capitalize() for part in name.split("_"))}
    places = {
        "pyproject.toml": "common/pyproject.toml.j2",
        f"{name}/__init__.py": "common/init.py.j2",
        f"{name}/{kind}.py": f"{kind}/module.py.j2",
        f"{name}/conf/{group}/{name}.yaml": f"{kind}/option.yaml.j2",
        f"tests/test_{name}.py": f"{kind}/test.py.j2",
    }
    return Plan(
        kind, name, {path: environment.get_template(file).render(words) for path, file in places.items()}
    )


def check_name(kind: str, name: str) -> None:
    """Raise ValueError unless a new package and a new option of a kind can have a name."""
    begin = f"NAME is {name!r}"
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith(("_", *SPREADS)):
        raise ValueError(
            f"{begin}; it names a package and an option: take up to 40 lower-case letters, digits and "
            f"underscores that begin with a letter, no word of Python, no ending {', '.join(SPREADS)}"
        )
    group = KINDS[kind].group
    if (path := option_file(group, name)) is not None:
        raise ValueError(f"{begin}, and {group}={name} is an option already ({path}): choose another name")
    if kind == "score" and name in METRIC_KINDS:
        raise ValueError(f"{begin}, which is a kind of metric of genbench already: choose another name")
    if name == "tests" or find_spec(name) is not None:
        raise ValueError(f"{begin}, and a module of this name is already installed: choose another name")


def write(made: Plan, out: Path) -> None:
    """Write the files of a plug-in into a folder, which is made if it is not there. Raises OSError."""
    for path, text in made.files.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text)
