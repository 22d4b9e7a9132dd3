"""Pages of docs/families/: settings are those of conf/, rows those of the recorded results."""

from pathlib import Path

import pytest

from docs_tools.figures.pages import FOLDER, RESULTS, chosen, fits, page, settings, table
from genbench.config.groups import groups_of, options
from genbench.config.option_folders import CONF, read_option

PAGES = sorted(FOLDER.glob("*.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_generated_parts_of_a_page_are_current(path: Path) -> None:
    assert page(path) == path.read_text(), "run python -m docs_tools.figures.pages"


def test_every_family_has_a_page_with_its_figure_settings_and_row() -> None:
    assert [path.stem for path in PAGES] == sorted([*options("model"), "index"])
    for path in PAGES:
        text = path.read_text()
        if path.stem != "index":
            assert f"(../img/{path.stem}.png)" in text
            assert "<!-- generated: settings -->" in text
            assert ("<!-- generated: row -->" in text) == (f"[{path.stem}]" in table(RESULTS))


def test_the_numbers_of_families_in_texts_are_those_of_the_options() -> None:
    words = ["nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
    numbers = dict(enumerate(words, start=9))
    sweep = read_option(CONF / "sweep" / "families.yaml")["hydra"]["sweeper"]["params"]
    every, compared = numbers[len(options("model"))], numbers[len(sweep["model"].split(","))]
    trained = numbers[len(options("model")) - 2]  # autoencoder draws no images, diffusers is not trained
    index = (FOLDER / "index.md").read_text()
    assert f"genbench has {every} families, the options of `model=`. {trained.title()} are" in index
    assert f"`sweep=families` compares {compared} of them" in index
    assert f"trains {trained} families of generative" in (FOLDER.parents[1] / "README.md").read_text()


def test_the_settings_of_a_page_are_all_groups_of_the_family() -> None:
    for family in options("model"):
        found = set(groups_of("model", family, {}))
        assert chosen(family).keys() == found - {"optim", "lr_schedule", "trainer", "budget"}


def test_guidance_that_a_family_refuses_is_left_out() -> None:
    (every,) = (line for line in settings("ddpm").splitlines() if line.startswith("| `guidance`"))
    assert "`auto`, `classifier`, " in every
    assert "| `guidance` | `none` | `auto`, `classifier_free` |" in settings("flow_matching").splitlines()
    for family in ("cascade", "latent_diffusion", "masked_diffusion", "unclip"):
        assert "| `guidance` | `none` | `classifier_free` |" in settings(family).splitlines()


def test_augmentation_of_another_family_is_left_out() -> None:
    assert "| `augmentation` | `none` | `diffaugment` |" in settings("gan").splitlines()
    for family in ("ddpm", "flow_matching"):
        assert "| `augmentation` | `none` | `edm` |" in settings(family).splitlines()


def test_options_of_other_families_are_left_out() -> None:
    assert fits("network", "unet", "unet_ho2020")
    assert fits("network", "unet", "dit")
    assert not fits("network", "unet", "unet_latent")
    assert not fits("network", "resnet_vae", "resnet_ae")
    assert fits("network", "resnet_vae", "ladder")
    assert not fits("process", "gaussian", "consistency")
