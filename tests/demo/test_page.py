"""The page of `genbench demo`, where gradio is installed, and the message where it is not."""

import importlib.util
from pathlib import Path

import pytest
import torch

from genbench import app
from tests.conftest import Command, Make

DDPM = ("network.width=8", "network.blocks=1", "sampler.steps=3")
THERE = importlib.util.find_spec("gradio") is not None


@pytest.mark.skipif(THERE, reason="gradio is installed")
def test_without_gradio_the_message_names_the_extra(verb: Command, made: Make) -> None:
    done = verb("demo", made(*DDPM))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'genbench: gradio is not installed: pip install -e ".[demo]"\n'


@pytest.mark.skipif(not THERE, reason="needs gradio, the extra demo")
def test_the_page_answers_with_pictures_and_shows_what_is_wrong(made: Make) -> None:
    import gradio as gr

    from genbench.demo.drawing import Demo
    from genbench.demo.page import Controls, answering, page

    run = made(*DDPM, "conditional=true")
    demo = Demo(lambda settings: app.load(run, device="cpu", overrides=settings), torch.device("cpu"))
    controls = Controls(str(run), takes_text=False, num_classes=10, steps=("sampler.steps", 3), scale=None)
    answer = answering(demo, controls)
    *_, last = answer("", "2", 2.0, None, 1.0, 4.0)
    assert (last.dtype, last.ndim) == ("uint8", 2)
    *_, cleared = answer("", None, None, None, None, 4.0)
    assert cleared.shape == last.shape
    with pytest.raises(gr.Error, match="the number of images is 0"):
        list(answer("", "2", 2.0, None, 1.0, None))
    with pytest.raises(gr.Error, match="steps is -1"):
        list(answer("", "2", -1.0, None, 1.0, 4.0))
    found = {
        part.label: part.visible
        for part in page(demo, controls).blocks.values()
        if isinstance(part, gr.components.Component)
    }
    shown = {"Class": True, "Steps": True, "Prompt": False, "Guidance scale (1: none)": False}
    assert shown.items() <= found.items()


def test_settings_of_the_sampling_are_those_of_the_run(made: Make, tmp_path: Path) -> None:
    found = app.sampling_settings(made(*DDPM, "conditional=true", "guidance=classifier_free"))
    assert (found["sampler.steps"], found["guidance.scale"]) == (3, 2.0)
    assert "network.width" not in found
    with pytest.raises(FileNotFoundError, match="holds no run"):
        app.sampling_settings(tmp_path)
