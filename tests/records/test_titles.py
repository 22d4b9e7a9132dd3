"""Titles of runs: the name of the images, and what samples are conditioned on."""

from pathlib import Path

import pytest

from genbench.data import ImageFolder
from genbench.records.titles import conditioning, data_name, run_title, shared_conditioning

GUIDED = {"guidance": {"_target_": "genbench.diffusion.guidance.ClassifierFree", "scale": 2.0}}
MEAN_FLOW = {"process": {"_target_": "genbench.diffusion.mean_flow.MeanFlow", "scale": 2.0}}
PIPELINE = {"prompts": None, "guidance": None}


@pytest.mark.parametrize(
    ("choices", "config", "expected"),
    [
        ({"conditional": "false"}, {}, "unconditional"),
        ({"conditional": "true", "guidance": "none"}, {}, "conditional"),
        ({"conditional": "true", "guidance": "classifier_free"}, GUIDED, "guided (classifier_free 2)"),
        ({"conditional": "true", "guidance": "classifier"}, {"guidance": 3}, "guided (classifier)"),
        ({}, {"conditional": True} | GUIDED, "guided (classifier_free 2)"),  # of an unfinished run
        ({}, {"conditional": True, "guidance": {"_target_": "a.Unguided"}}, "conditional"),
        ({}, {}, None),
        ({"conditional": "false"}, {"model": PIPELINE}, "unconditional"),
        ({"conditional": "true"}, {"model": PIPELINE | {"guidance": 4}}, "conditional (guidance 4)"),
        (
            {"conditional": "false"},
            {"model": PIPELINE | {"prompts": "a.txt"}},
            "text prompts (the pipeline's own guidance)",
        ),
        (
            {"conditional": "false"},
            {"model": PIPELINE | {"guidance": 4}, "image": {"prompted": True}},
            "text prompts (guidance 4)",
        ),
        ({"conditional": "false", "text": "none"}, {}, "unconditional"),
        ({"conditional": "false", "text": "small"}, {}, "text prompts (small)"),
        (
            {"conditional": "false", "text": "small", "guidance": "classifier_free"},
            GUIDED,
            "guided text prompts (small, classifier_free 2)",
        ),
        ({"conditional": "true"}, MEAN_FLOW, "guided (process.scale 2)"),
        ({"conditional": "true"}, {"process": {"scale": 1.0}}, "conditional"),
        ({"text": "small"}, MEAN_FLOW, "guided text prompts (small, process.scale 2)"),
        (
            {},
            {"conditional": False, "text": {"_target_": "a.text.SmallEncoder"}},
            "text prompts (small_encoder)",
        ),
        ({}, {"conditional": False, "text": {"_target_": "genbench.text.encoder.no_text"}}, "unconditional"),
        ({}, {"conditional": False, "text": 7}, "unconditional"),
    ],
)
def test_labels_guidance_and_prompts_are_said_in_words(
    choices: dict, config: dict, expected: str | None
) -> None:
    assert conditioning(choices, config) == expected


@pytest.mark.parametrize(
    ("several", "expected"),
    [
        ({"guided (a 1)"}, "guided (a 1)"),
        ({"guided (a 1)", "guided (a 2)"}, "guided"),
        ({"guided (a 1)", "conditional"}, "conditional"),
        ({"guided (a 1)", "unconditional"}, ""),
        ({"guided (a 1)", None}, ""),
        ({"text prompts (small)"}, "text prompts (small)"),
        ({"text prompts (small)", "text prompts (clip)"}, "text prompts"),
        ({"text prompts (small)", "guided text prompts (small, a 2)"}, "conditional"),
        (set(), ""),
    ],
)
def test_what_several_runs_share_is_said_of_all(several: set, expected: str) -> None:
    assert shared_conditioning(several) == expected


def test_the_title_of_a_run_says_what_its_samples_are_conditioned_on_unless_on_nothing() -> None:
    assert run_title("vae", "digits", None) == run_title("vae", "digits", "unconditional") == "vae on digits"
    assert run_title("vae", "digits", "guided (a 2)") == "vae on digits, guided (a 2)"


def test_a_folder_is_called_as_in_the_cache(tmp_path: Path) -> None:
    root = tmp_path / "my cats"
    config = {"data": {"_target_": "genbench.data.ImageFolder", "root": str(root), "size": 32}}
    name = data_name({"data": "image_folder"}, config)
    assert name == ImageFolder(str(root), size=32).name == "my_cats_32px"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"_target_": "genbench.data.Digits", "binarize": True}, "digits_binary"),
        ({"_target_": "genbench.data.Digits", "binarize": False}, "digits"),
        (None, "digits"),
        (7, "digits"),
    ],
)
def test_other_data_go_by_their_option(data: object, expected: str) -> None:
    assert data_name({"data": "digits"}, {"data": data}) == expected
