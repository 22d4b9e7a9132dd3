"""The code reads as it should: what a machine can check of it."""

import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.test_imports import MATHS

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "genbench").rglob("*.py"))

MOST_ARGUMENTS, MOST_OPTIONS = 7, 12
"""Arguments of a function; of a constructor that a YAML file of conf/ fills key by key."""
FEWEST_WORDS, MEDIAN_WORDS, MEDIAN_LINES = 4, 25, 5

FORBIDDEN = re.compile(
    r"\b(assist\w*|glanc\w+|desks?|dealt|told|torn|leagues?|examin\w+|judg\w+|chances?|doors?|houses?|laws?"
    r"|spread|makes of)\b",
    re.IGNORECASE,
)
"""Words with a plainer one in their place: quick evaluation, worker, assigned, partial, evaluate, .."""
ALLOWED = (
    "features=law",
    "features/law",
    "data.spread",
    "`spread`",
    "off law",
    "law bits",
    "coupling law",
    "coupling.spread",
    "(-spread, spread)",
    "law: ",
    "spread: ",
    "house kangaroo",  # classes of CIFAR-100
    "Street View House Numbers",
)
"""Keys, options and titles of columns, in which these words may stand."""

MATHEMATICS = (*MATHS, "families", "generator.py", "nn")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Definition(NamedTuple):
    """A module, class or function of the package, with where it stands."""

    path: Path
    node: ast.AST
    owner: ast.ClassDef | None
    """The class that a method is of."""

    @property
    def name(self) -> str:
        return getattr(self.node, "name", "")

    @property
    def doc(self) -> str:
        assert isinstance(self.node, ast.Module | ast.ClassDef | Function)
        return ast.get_docstring(self.node) or ""

    @property
    def dotted(self) -> str:
        """The class path of a class, or of the class of a method: genbench.nn.unet.UNet."""
        module = self.path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        return f"{module}.{self.owner.name if self.owner else self.name}"

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(self.node, 'lineno', 1)} {self.name}"


def definitions(path: Path) -> Iterator[Definition]:
    def below(node: ast.AST, owner: ast.ClassDef | None) -> Iterator[Definition]:
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            yield Definition(path, node, owner)
        inner = node if isinstance(node, ast.ClassDef) else None if isinstance(node, Function) else owner
        for child in ast.iter_child_nodes(node):
            yield from below(child, inner)

    return below(tree(path), None)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def all_definitions() -> list[Definition]:
    """Those of the package, which one test process alone must find."""
    return [found for path in MODULES for found in definitions(path)]


def all_functions() -> list[Definition]:
    return [found for found in all_definitions() if isinstance(found.node, Function)]


def decorators(node: Function) -> str:
    return " ".join(map(ast.unparse, node.decorator_list))


def statements(node: Function) -> list[ast.stmt]:
    """The body of a function without its docstring."""
    return node.body[1:] if ast.get_docstring(node) else node.body


def body_lines(node: Function) -> int:
    own = statements(node)
    return own[-1].end_lineno - own[0].lineno + 1 if own and own[-1].end_lineno else 0


def is_written_out(found: Definition, abstract: set[str]) -> bool:
    """True for a function with work of its own: no property, no answer in one line to an abstract method."""
    node = found.node
    assert isinstance(node, Function)
    if re.search("abstract|property|overload", decorators(node)) or not statements(node):
        return False
    is_answer = len(statements(node)) == 1 and isinstance(statements(node)[0], ast.Return | ast.Expr)
    return not (found.owner and node.name in abstract and is_answer)


def arguments(node: Function) -> list[str]:
    given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    return [argument.arg for argument in given if argument.arg not in ("self", "cls")]


def targets() -> set[str]:
    """The class paths that the options in conf/ name; of a class that its folder offers, also its own."""
    texts = "".join(path.read_text() for path in (ROOT / "conf").rglob("*.yaml"))
    named = set(re.findall(r"_target_:\s*([\w.]+)", texts))
    offered = {tuple(name.rpartition(".")[::2]) for name in named}
    return named | {
        found.dotted
        for found in all_definitions()
        if isinstance(found.node, ast.ClassDef)
        and (found.dotted.rsplit(".", 2)[0], found.dotted.rpartition(".")[2]) in offered
    }


def filled() -> set[str]:
    """The class paths whose constructors conf/ fills; a class without one has that of its base, in its
    file.
    """
    named, bases = targets(), set[str]()
    for found in all_definitions():
        if isinstance(found.node, ast.ClassDef) and found.dotted in named:
            own = {node.name for node in found.node.body if isinstance(node, Function)}
            module = found.dotted.rpartition(".")[0]
            if "__init__" not in own:
                bases |= {f"{module}.{ast.unparse(base)}" for base in found.node.bases}
    return named | bases


def public() -> Iterator[Definition]:
    """Classes and functions that a module offers by `__all__`, and the public methods of these classes."""
    for found in all_definitions():
        outermost = found.owner.name if found.owner else found.name
        is_listed = f'"{outermost}"' in listed(found.path) and not found.name.startswith("_")
        if found.name and is_listed and found.doc and is_outermost(found):
            yield found


def is_outermost(found: Definition) -> bool:
    scope = found.owner.body if found.owner else tree(found.path).body
    return found.node in scope


@cache
def listed(path: Path) -> str:
    """The text of a module's `__all__`."""
    for node in tree(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.unparse(node.value).replace("'", '"')
    return ""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings and messages of a file with their lines: all strings with a space in them."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_has_nothing_to_say(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_has_nothing_to_say() -> None:
    """Fifteen seconds where .mypy_cache/ is empty, as libraries are read too; then a second or two."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


def test_functions_are_short() -> None:
    lengths = sorted(body_lines(found.node) for found in all_functions() if isinstance(found.node, Function))
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.9 * len(lengths))] <= 30


def test_no_constant_is_written_twice_in_a_folder() -> None:
    """Of the collections that modules name at their top level: equal names and equal values."""
    places: dict[tuple[Path, str, str], list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple | ast.List | ast.Dict):
                key = (path.parent, ast.unparse(node.targets[0]), ast.unparse(node.value))
                places.setdefault(key, []).append(path.name)
    twice = {name: files for (_, name, _), files in places.items() if len(files) > 1 and name != "__all__"}
    assert twice == {}


def test_functions_do_something() -> None:
    """A helper that says no more than its code is a hop for nothing; a formula may be one line."""
    abstract = {
        found.name
        for found in all_functions()
        if isinstance(found.node, Function) and "abstract" in decorators(found.node)
    }
    own = [
        body_lines(found.node)
        for found in all_functions()
        if isinstance(found.node, Function) and is_written_out(found, abstract)
        if found.path.relative_to(ROOT).parts[1] not in MATHEMATICS
    ]
    assert statistics.median(own) >= MEDIAN_LINES


def test_functions_take_few_arguments() -> None:
    by_conf, many = filled(), []
    for found in all_functions():
        assert isinstance(found.node, Function)
        is_filled = found.name == "__init__" and found.dotted in by_conf
        if len(arguments(found.node)) > (MOST_OPTIONS if is_filled else MOST_ARGUMENTS):
            many.append(f"{found}: {len(arguments(found.node))}")
    assert many == []


def test_signatures_are_closed() -> None:
    open_ones = [
        str(found)
        for found in all_functions()
        if isinstance(found.node, Function) and (found.node.args.vararg or found.node.args.kwarg)
    ]
    assert open_ones == []


def test_public_modules_say_what_they_offer() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.name not in ("__init__.py", "__main__.py") and not listed(path)
    ]
    assert silent == []


def test_public_functions_have_docstrings() -> None:
    """Of every class and function at the top level; methods often implement a documented abstract one."""
    bare = [
        str(found)
        for found in all_definitions()
        if found.name and not found.owner and is_outermost(found)
        if not found.name.startswith("_") and not found.doc
    ]
    assert bare == []


def test_no_docstring_is_a_riddle() -> None:
    short = [str(found) for found in all_definitions() if found.doc and len(found.doc.split()) < FEWEST_WORDS]
    assert short == []


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    asked = [
        f"{found}: {found.doc.splitlines()[0]}"
        for found in all_definitions()
        if re.match(r"(What|Whether|How|Who|Where)\b", found.doc)
    ]
    assert asked == []


def test_docstrings_of_what_others_call_say_what_goes_in_and_out() -> None:
    names = [len(found.doc.split()) for found in public() if not found.owner]
    methods = [len(found.doc.split()) for found in public() if found.owner]
    median = statistics.median(names)
    assert median >= MEDIAN_WORDS, (
        f"median {median} words of {len(names)} names, {statistics.median(methods)} of {len(methods)} methods"
    )


def test_words_are_plain() -> None:
    found, counts = [], Counter[str]()
    for path in MODULES:
        for line, text in texts(path):
            for allowed in ALLOWED:
                text = text.replace(allowed, "")
            for word in FORBIDDEN.findall(text):
                counts[word.lower()] += 1
                found.append(f"{path.relative_to(ROOT)}:{line} {word}")
    assert found == [], counts.most_common()


def test_there_are_tests_for_the_code() -> None:
    def count(folder: str) -> int:
        return sum(len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py"))

    assert count("tests") >= 0.4 * count("genbench")


def test_benchmarks_stand_beside_the_tests() -> None:
    assert (ROOT / "benchmarks").is_dir()
    assert not (ROOT / "tests" / "benchmarks").exists()


def test_conf_is_read_by_the_rules_above() -> None:
    """A class path that no longer exists would except nothing, and nobody would see it."""
    assert "genbench.nn.unet.UNet" in targets()
    assert all(yaml.safe_load(path.read_text()) is not None for path in (ROOT / "conf" / "network").glob("*"))
