"""Compositions of tests are those of plain Hydra, and so are its messages."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from yaml import YAMLError

from tests.conftest import ROOT
from tests.quick_composing import load, plain, quick_load

CHOICES = (
    ("model=ddpm", "loss=hybrid"),
    ("model=unclip", "data=captioned", "text=small"),
    ("experiment=faces64", "model=vae", "data.root=nowhere"),
    ("sweep=schedule_x_loss", "optim.lr=1e-3"),
)


def composed(words: tuple[str, ...]) -> str:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return OmegaConf.to_yaml(compose("config", overrides=list(words), return_hydra_config=True))


@pytest.mark.parametrize("words", CHOICES)
def test_a_composition_is_that_of_plain_hydra_each_time(words: tuple[str, ...]) -> None:
    quick = [composed(words) for _ in range(2)]
    with plain():
        assert quick == [composed(words)] * 2


def test_a_file_that_has_changed_is_read_anew_and_what_was_read_is_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    for content in ("a: [1, 2]\n", "a: [3]\n"):
        file.write_text(content)
        for _ in range(2):
            with file.open() as opened:
                found = quick_load(opened)
            assert list(found.a) == ([1, 2] if "1" in content else [3])
            found.a.append(9)


@pytest.mark.parametrize("content", ["a: [1\n", "a: 1\na: 2\n"])
def test_a_file_that_cannot_be_read_is_refused_in_the_same_words(tmp_path: Path, content: str) -> None:
    file, messages = tmp_path / "broken.yaml", []
    file.write_text(content)
    for reader in (load, quick_load):
        with file.open() as opened, pytest.raises(YAMLError) as refused:
            reader(opened)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert "broken.yaml" in messages[0]
