"""Who may import whom; read from the sources, so that a breach fails before it runs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "genbench").rglob("*.py"))
MATHS = ("nn", "autoregressive", "diffusion", "flows", "gans", "vaes")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file, by its full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(modules: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules
        for name in imports(path)
        if any(name == f or name.startswith(f"{f}.") for f in forbidden)
    ]


def below(folder: str) -> list[Path]:
    return sorted((ROOT / "genbench" / folder).rglob("*.py"))


def all_but(*names: str) -> list[Path]:
    return [path for path in MODULES if str(path.relative_to(ROOT / "genbench")) not in names]


def names_below(folder: str) -> list[str]:
    return [str(path.relative_to(ROOT / "genbench")) for path in below(folder)]


def test_only_app_knows_hydra() -> None:
    assert breaches(all_but(*names_below("app")), ("hydra", "omegaconf")) == []


def test_only_its_tracker_knows_wandb() -> None:
    assert breaches(all_but("tracking/wandb.py"), ("wandb",)) == []
    assert breaches(all_but("dashboard.py"), ("wandb_workspaces",)) == []


def test_the_report_knows_no_torch() -> None:
    assert breaches(below("report"), ("torch", "torchvision", "torchmetrics")) == []
    script = "import sys, genbench.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("folder", MATHS)
def test_maths_and_networks_know_only_each_others_maths(folder: str) -> None:
    others = sorted(p.stem if p.is_file() else p.name for p in (ROOT / "genbench").iterdir())
    forbidden = tuple(f"genbench.{name}" for name in others if name not in (*MATHS, "batchwise"))
    assert breaches(below(folder), forbidden) == []


def test_a_family_knows_its_contract_and_its_maths_alone() -> None:
    forbidden = ("families", "nn", "train", "data", "metrics", "tracking", "report", "app", "session")
    assert breaches(below("families"), tuple(f"genbench.{name}" for name in forbidden)) == []


def test_what_serves_all_families_knows_none() -> None:
    shared = [*below("metrics"), *(ROOT / "genbench" / name for name in ("train.py", "evaluate.py"))]
    assert breaches(shared, ("genbench.families",)) == []


def test_nothing_imports_app_but_the_doors() -> None:
    assert (
        breaches(
            all_but("cli.py", "cli_report.py", "cli_evaluate.py", *names_below("app")), ("genbench.app",)
        )
        == []
    )


@pytest.mark.parametrize("heavy", ["torchvision", "torchmetrics", "wandb", "matplotlib", "sklearn", "pandas"])
def test_importing_the_package_costs_nothing_heavy(heavy: str) -> None:
    script = f"import sys, genbench.session.session; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_have_no_side_effects_at_import(path: Path) -> None:
    """At the top level stand definitions, imports and constants; no call whose value nobody keeps.

    Apart from the names of runs, which workers of parallel launchers learn by no other way than an import.
    """
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Expr) and "register_new_resolver" not in ast.unparse(node):
            assert isinstance(node.value, ast.Constant), f"{path}:{node.lineno} runs at import"
        assert not isinstance(node, ast.For | ast.While | ast.With | ast.Try), f"{path}:{node.lineno}"
