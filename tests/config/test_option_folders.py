"""Options of others: where they are found, what they may build, and what is refused."""

import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from genbench.config import option_folders as places
from genbench.config.declared import check_declared
from genbench.config.groups import groups, option_file, options, settings_of
from genbench.config.option_folders import CONF, OF_USER, legal_targets, plugins, use_folder
from genbench.config.schema import check

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "plugin" / "genbench_pixels"
PIXELS = {"_target_": "genbench_pixels.family.Pixels", "shape": [1, 8, 8], "num_classes": 0}


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the folder, the modules and the plug-ins of a test at its end."""
    monkeypatch.setenv(OF_USER, "")
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = sys.modules.copy()
    monkeypatch.setattr(sys, "modules", before)
    plugins.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, name: str = "mine") -> None:
    """Let a package in tmp_path be found as one that declares the entry point does."""
    point = EntryPoint(name, package, "genbench.plugins")
    monkeypatch.setattr(places, "entry_points", lambda group: [point])
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.cache_clear()


def test_options_of_a_named_folder_stand_beside_the_others() -> None:
    assert "pixels" not in options("model")
    use_folder(EXAMPLE / "conf")
    assert {"pixels", "ddpm"} <= set(options("model"))
    assert option_file("schedule", "square") == EXAMPLE / "conf" / "schedule" / "square.yaml"
    assert option_file("schedule", "cosine") == CONF / "schedule" / "cosine.yaml"


def test_a_group_of_a_plug_in_alone_is_a_group(tmp_path: Path) -> None:
    (tmp_path / "flavour").mkdir()
    (tmp_path / "flavour" / "sweet.yaml").write_text("# Sweet.\n_target_: torch.nn.Identity\n")
    use_folder(tmp_path)
    assert "flavour" in groups()
    assert options("flavour") == ["sweet"]


def test_the_option_of_the_named_folder_replaces_one_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "schedule").mkdir()
    shutil.copy(CONF / "schedule" / "linear.yaml", tmp_path / "schedule" / "cosine.yaml")
    use_folder(tmp_path)
    assert option_file("schedule", "cosine") == tmp_path / "schedule" / "cosine.yaml"
    assert options("schedule").count("cosine") == 1


def test_a_class_of_the_named_folder_may_be_built_once_it_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"model._target_ is 'genbench_pixels.*must start with one of genbench"
    ):
        check(PIXELS, "model")
    use_folder(EXAMPLE / "conf")
    check(PIXELS, "model")
    assert "genbench_pixels.family.Pixels" in legal_targets()
    with pytest.raises(ValueError, match="must start with"):
        check({"_target_": "os.system", "command": "true"}, "model")


def test_a_recorded_configuration_builds_a_class_of_a_folder_that_is_named_and_at_its_place() -> None:
    with pytest.raises(ValueError, match="--config-dir"):
        check_declared(PIXELS, ("model",))
    use_folder(EXAMPLE / "conf")
    check_declared(PIXELS, ("model",))
    with pytest.raises(ValueError, match="no installed option builds there"):
        check_declared(PIXELS, ("data",))


def test_a_plug_in_is_found_by_its_entry_point_and_not_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLE / "conf", tmp_path / "flavoured" / "conf")
    (tmp_path / "flavoured" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    install(monkeypatch, tmp_path, "flavoured")
    assert "pixels" in options("model")
    assert legal_targets()[-1] == "flavoured."


@pytest.mark.parametrize("package", ["is_not_there", "empty", "empty.inner"])
def test_a_plug_in_without_options_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "empty" / "__init__.py").write_text("")
    install(monkeypatch, tmp_path, package)
    with pytest.raises(ValueError, match=rf"plug-in mine names the package '{package}'.*uninstall it"):
        options("model")


def test_a_plug_in_with_an_option_of_genbench_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "double" / "conf" / "model").mkdir(parents=True)
    shutil.copy(CONF / "model" / "ddpm.yaml", tmp_path / "double" / "conf" / "model")
    install(monkeypatch, tmp_path, "double")
    with pytest.raises(ValueError, match=r"mine has the option model/ddpm.yaml, which genbench has too"):
        options("model")


def test_a_file_in_the_current_folder_does_not_replace_an_installed_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wave.py").write_text("raise RuntimeError('imported')\n")  # of the standard library
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text("_target_: wave.Wave_read\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    use_folder("conf")
    check({"_target_": "wave.Wave_read"}, "model")
    assert str(tmp_path) == sys.path[-1]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--config-dir is .*nowhere.*give one of GROUP/NAME.yaml"):
        use_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "says"), [("a: [\n", "x.yaml is not readable YAML"), ("- 1\n", "x.yaml must hold keys")]
)
def test_a_file_of_options_that_cannot_be_read_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x.yaml").write_text(text)
    use_folder(tmp_path)
    with pytest.raises(ValueError, match=says):
        settings_of("model", "x")
    with pytest.raises(ValueError, match=says):
        check_declared({"_target_": "torch.nn.Identity"}, ("model",))


@pytest.mark.parametrize(
    "line",
    ["_target_: mine.A", '"_target_": "mine.A"', "net: {_target_: mine.A, width: 8}", "_target_ : mine.A"],
)
def test_a_class_may_be_named_in_each_way_of_yaml(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.yaml").write_text(f"# _target_: not.This\n{line}  # _target_: nor.That\n")
    use_folder(tmp_path)
    assert legal_targets()[-1] == "mine.A"
    assert not any(name in legal_targets() for name in ("not.This", "nor.That"))
