"""Imports that the layers allow; read from the sources, so that a breach fails before it runs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "genbench"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
MATHS = ("autoregressive", "diffusion", "flows", "gans", "probability", "vaes")
NUMBERS = ("runtime.global_batch", "runtime.average_rate")
"""The parts of `runtime` that formulas need: statistics of a batch, and how fast an average moves."""

MAY_IMPORT = {
    "runtime": ("errors",),
    "records": ("errors", "runtime"),
    "config": ("errors",),
    "text": ("probability.counts", "records.transformer_models", "runtime.frozen_weights"),
    **dict.fromkeys(MATHS, ("probability", "text", *NUMBERS)),
    "nn": (*MATHS, "text", *NUMBERS),
    "families": (
        *("generator", "text", *MATHS, *NUMBERS),
        *("records.pipelines", "records.texts", "records.transformer_models"),
        *("runtime.frozen_weights", "runtime.precision", "runtime.rng"),
    ),
    "data": ("errors", "records", "runtime", "text"),
    "metrics": ("data", "errors", "records", "runtime", "text"),
    "report": ("config.option_folders", "records", "runtime"),
    "tracking": ("errors", "records", "runtime"),
    "training": ("data", "errors", "generator", "records", "runtime", "tracking"),
    "contract": ("data", "errors", "generator", "runtime", "tracking", "training"),
    "evaluation": (
        "data",
        "errors",
        "generator",
        "metrics",
        "records",
        "runtime",
        "tracking",
        "training",
    ),
}
"""Folder -> what it may import of genbench besides itself; those not named may import all but `app`."""


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, wherever in the file, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    """The dotted name of a file's module below genbench: training.loop."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def is_below(name: str, parents: tuple[str, ...]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def breaches(modules: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules
        for name in imports(path)
        if is_below(name, forbidden)
    ]


def all_but(*names: str) -> list[Path]:
    return [path for path in MODULES if not is_below(name_of(path), names)]


def below(folder: str) -> list[Path]:
    return [path for path in MODULES if is_below(name_of(path), (folder,))]


def test_three_modules_are_loose() -> None:
    assert [path.name for path in sorted(PACKAGE.glob("*.py"))] == [
        "__init__.py",
        "__main__.py",
        "errors.py",
        "generator.py",
    ]


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_what_it_may_know(folder: str) -> None:
    legal = (*(f"genbench.{name}" for name in MAY_IMPORT[folder]), f"genbench.{folder}")
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in below(folder)
        for name in imports(path)
        if name.startswith("genbench.") and not is_below(name, legal)
    ]
    assert found == []


def test_a_family_imports_no_other_family() -> None:
    found = [
        f"{path.name} imports {name}"
        for path in below("families")
        for name in imports(path)
        if is_below(name, ("genbench.families",))
    ]
    assert found == []


def test_nothing_imports_app_but_the_entry_points() -> None:
    assert breaches(all_but("api", "app", "cli"), ("genbench.app",)) == []


def test_nothing_imports_the_report_but_app_and_cli() -> None:
    assert breaches(all_but("app", "cli", "report"), ("genbench.report",)) == []


def test_only_app_imports_hydra() -> None:
    assert breaches(all_but("app"), ("hydra", "omegaconf")) == []


def test_only_the_hub_imports_its_library() -> None:
    assert breaches(all_but("app.hub"), ("huggingface_hub",)) == []


def test_only_the_reader_of_pipelines_imports_diffusers() -> None:
    assert breaches(all_but("records.pipelines"), ("diffusers",)) == []
    assert breaches(all_but("records.pipelines", "records.transformer_models"), ("transformers",)) == []


def test_only_its_tracker_imports_wandb() -> None:
    assert breaches(all_but("tracking.wandb"), ("wandb",)) == []
    assert breaches(all_but("tracking.wandb_workspace"), ("wandb_workspaces",)) == []


@pytest.mark.parametrize("library", ["tensorboard", "mlflow", "trackio"])
def test_only_its_tracker_imports_a_library(library: str) -> None:
    modules = ("tensorboard", "torch.utils.tensorboard") if library == "tensorboard" else (library,)
    assert breaches(all_but(f"tracking.{library}"), modules) == []


@pytest.mark.parametrize("package", ["report", "records", "config"])
def test_what_reads_runs_and_options_imports_no_torch(package: str) -> None:
    assert breaches(below(package), ("torch", "torchvision", "torchmetrics")) == []
    script = f"import sys, genbench.{package}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@cache
def edges(*, folders: bool) -> dict[str, set[str]]:
    """Importer -> imported, by module or by folder; a loose module is a folder of its own."""
    names, found = {name_of(path) for path in MODULES}, dict[str, set[str]]()
    for path in MODULES:
        for target in (
            name.removeprefix("genbench.") for name in imports(path) if name.startswith("genbench.")
        ):
            module = target if target in names else target.rpartition(".")[0]
            pair = [name.partition(".")[0] if folders else name for name in (name_of(path), module)]
            if pair[0] != pair[1]:
                found.setdefault(pair[0], set()).add(pair[1])
    return found


@pytest.mark.parametrize("folders", [True, False], ids=["folders", "files"])
def test_no_circle(folders: bool) -> None:
    """Whoever is left once those that import nothing of the rest are taken away again and again."""
    left = {name: set(targets) for name, targets in edges(folders=folders).items()}
    while leaves := {target for targets in left.values() for target in targets} - left.keys():
        left = {name: targets - leaves for name, targets in left.items()}
        left = {name: targets for name, targets in left.items() if targets}
    assert left == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_lives_there_and_what_it_may_know(folder: str) -> None:
    text = ast.get_docstring(ast.parse((PACKAGE / folder / "__init__.py").read_text())) or ""
    assert len(text.split()) >= 15, f"{folder}/__init__.py says too little"


def test_importing_the_package_costs_nothing_heavy() -> None:
    heavy = {"torchvision", "torchmetrics", "wandb", "matplotlib", "scipy", "sklearn", "pandas"}
    script = f"import sys, genbench.session.session as s, genbench.metrics; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_have_no_side_effects_at_import(path: Path) -> None:
    """At the top level stand definitions, imports and constants; no call whose value nobody keeps.

    Apart from the names of runs, which workers of parallel launchers learn by no other way than an import.
    """
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr) and "register_new_resolver" not in ast.unparse(node):
            assert isinstance(node.value, ast.Constant), f"{path}:{node.lineno} runs at import"
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Try), f"{path}:{node.lineno}"
