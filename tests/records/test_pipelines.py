"""A pipeline of strangers executes nothing, and a recorded configuration downloads nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genbench.records.pipelines import load_pipeline
from genbench.runtime.downloads import downloads, may_download
from tests import pipelines

diffusers = pytest.importorskip("diffusers")

TRAP = "import pathlib\npathlib.Path('sprung').touch()\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipelines.ddpm(tmp_path_factory.mktemp("pipeline") / "ddpm")


@pytest.fixture
def folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(original, tmp_path / "ddpm"))


def rewritten(name: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | values))

    return change


def with_code(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(TRAP) and None


def pickled(folder: Path) -> None:
    """Weights as a file that would be unpickled."""
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")


def damaged(name: str, content: bytes = b"{") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


INDEX = "model_index.json"
ATTACKS = [
    (with_code("None.py"), "None.py is code, which is never executed"),
    (with_code("unet/my_unet.py"), "my_unet.py is code"),
    (rewritten(INDEX, _class_name=["my_pipeline", "Mine"]), r"names the pipeline \['my_pipeline', 'Mine'\]"),
    (rewritten(INDEX, _class_name="UNet2DModel"), "names the pipeline 'UNet2DModel'"),
    (rewritten(INDEX, _class_name="os"), "names the pipeline 'os'"),
    (rewritten(INDEX, unet=["os", "system"]), r"has \['os', 'system'\] as unet"),
    (rewritten(INDEX, unet=["my_unet", "Mine"]), r"has \['my_unet', 'Mine'\] as unet"),
    (rewritten(INDEX, unet=["diffusers", "DiffusionPipeline"]), "as unet; it must be a network"),
    (rewritten(INDEX, unet=["pipeline_utils", "torch"]), "as unet; it must be"),
    (rewritten(INDEX, unet={"os": 1, "system": 2}), "as unet; it must be"),
    (rewritten(INDEX, unet="os"), "has 'os' as unet"),
    (rewritten(INDEX, extra=["os", "system"]), "as extra; it must be"),
    (rewritten("unet/config.json", auto_map={"AutoModel": "a.B"}), "config.json has auto_map"),
    (rewritten("unet/config.json", quantization_config={}), "config.json has quantization_config"),
    (rewritten("unet/config.json", text_config={"attn_implementation": "a/b"}), "has attn_implementation"),
    (rewritten("unet/config.json", parts=[{"auto_map": {}}]), "config.json has auto_map"),
    (pickled, "cannot be loaded: .*safetensors"),
    (damaged("unet/diffusion_pytorch_model.safetensors"), "cannot be loaded"),
    (damaged(INDEX), "model_index.json is damaged"),
    (damaged(INDEX, b"[]"), "holds no object"),
    (damaged("unet/config.json"), "config.json is damaged"),
    (lambda folder: (folder / INDEX).unlink(), "holds no model_index.json"),
    (lambda folder: shutil.rmtree(folder / "scheduler"), "cannot be loaded"),
]


@pytest.mark.parametrize(("attack", "says"), ATTACKS, ids=range(len(ATTACKS)))
def test_a_folder_that_would_execute_something_or_is_damaged_is_refused(
    attack: Callable[[Path], None], says: str, folder: Path
) -> None:
    attack(folder)
    with pytest.raises(ValueError, match=says):
        load_pipeline(str(folder), None)
    assert not Path("sprung").exists()


def test_loading_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_pipeline(str(folder), None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["/nowhere", "./nowhere/x", "a", "a/b/c", "~/x", "../x", ""])
def test_what_is_no_folder_and_no_name_on_the_hub_is_refused_at_once(path: str) -> None:
    with (
        downloads(allowed=True),
        pytest.raises(ValueError, match=r"which is not a folder|holds no model_index"),
    ):
        load_pipeline(path, None)


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The names that the library was asked for; it answers as if the Hub had the pipeline."""
    found: list[dict[str, Any]] = []
    base, load_config = diffusers.DiffusionPipeline, diffusers.DiffusionPipeline.load_config

    def config(name: str, **settings: Any) -> Any:
        if name == "somebody/pipeline":
            found.append(settings)
        return load_config(folder if name == "somebody/pipeline" else name)

    def download(name: str, **settings: Any) -> str:
        found.append(settings)
        return str(folder)

    monkeypatch.setattr(base, "load_config", config)
    monkeypatch.setattr(base, "download", download)
    return found


@pytest.mark.parametrize("allowed", [True, False])
def test_a_name_is_downloaded_where_that_is_allowed_and_else_read_from_the_cache(
    allowed: bool, asked: list[dict[str, Any]]
) -> None:
    with downloads(allowed=allowed):
        load_pipeline("somebody/pipeline", "v1")
    assert [settings["local_files_only"] for settings in asked] == [not allowed] * 2
    assert {settings["revision"] for settings in asked} == {"v1"}
    assert asked[1]["use_safetensors"] is True


def test_a_name_whose_index_is_refused_is_not_downloaded(asked: list[dict[str, Any]], folder: Path) -> None:
    rewritten(INDEX, unet=["my_unet", "Mine"])(folder)
    with downloads(allowed=True), pytest.raises(ValueError, match=r"has \['my_unet', 'Mine'\] as unet"):
        load_pipeline("somebody/pipeline", None)
    assert len(asked) == 1


def test_downloads_are_forbidden_unless_allowed_and_the_innermost_block_decides() -> None:
    assert not may_download()
    with downloads(allowed=True):
        assert may_download()
        with downloads(allowed=False):
            assert not may_download()
        assert may_download()
    assert not may_download()
