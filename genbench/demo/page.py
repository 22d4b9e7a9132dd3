"""The page of `genbench demo`; the only importer of gradio."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import gradio as gr
import numpy as np

from genbench.demo.drawing import MOST, Demo, Wish
from genbench.errors import OutOfMemory

__all__ = ["Controls", "launch"]

IN_TURN = "all in turn"


class Controls(NamedTuple):
    """The controls that a page shows beside seed and number, by what the model can be asked for.

    steps, scale: key and value of the run's own settings; None where the model has none.
    """

    title: str
    takes_text: bool
    num_classes: int
    steps: tuple[str, float] | None
    scale: tuple[str, float] | None

    def settings(self, steps: float | None, scale: float | None) -> dict[str, object]:
        """Return the settings of the sampling that a visitor chose, by their full keys."""
        asked: dict[str, object] = {}
        if self.steps is not None and steps is not None:
            asked[self.steps[0]] = int(steps)
        if self.scale is not None and scale is not None:
            asked[self.scale[0]] = float(scale)
        return asked


def page(demo: Demo, controls: Controls) -> gr.Blocks:
    """Build the page: the controls at the left, the grid at the right, which is drawn anew at each step."""
    with gr.Blocks(title=f"genbench: {controls.title}", analytics_enabled=False) as blocks:
        gr.Markdown("# genbench demo")
        gr.Textbox(controls.title, label="Model", interactive=False)
        with gr.Row():
            with gr.Column(scale=1):
                prompt = gr.Textbox(label="Prompt", visible=controls.takes_text, autofocus=True)
                label = gr.Dropdown(
                    [IN_TURN, *map(str, range(controls.num_classes))],
                    value=IN_TURN,
                    label="Class",
                    visible=controls.num_classes > 0,
                )
                steps = gr.Number(
                    controls.steps and controls.steps[1],
                    label="Steps",
                    precision=0,
                    visible=controls.steps is not None,
                )
                scale = gr.Number(
                    controls.scale and controls.scale[1],
                    label="Guidance scale (1: none)",
                    visible=controls.scale is not None,
                )
                seed = gr.Number(0, label="Seed", precision=0)
                number = gr.Slider(1, MOST, value=16, step=1, label="Images")
                draw = gr.Button("Draw", variant="primary")
                stop = gr.Button("Stop")
            picture = gr.Image(label="Samples", format="png", scale=2, interactive=False)
        inputs = [prompt, label, steps, scale, seed, number]
        drawing = gr.on([draw.click, prompt.submit], answering(demo, controls), inputs, picture)
        stop.click(None, cancels=[drawing])
    return blocks


Number = float | None
Answer = Callable[[str, str | None, Number, Number, Number, Number], Iterator[np.ndarray]]
"""Of the inputs of the page, None where a visitor cleared one."""


def answering(demo: Demo, controls: Controls) -> Answer:
    """Return the function of the page's inputs, in their order, that yields pictures; what is wrong with
    them is shown in the browser.
    """

    def pictures(
        prompt: str, label: str | None, steps: Number, scale: Number, seed: Number, n: Number
    ) -> Iterator[np.ndarray]:
        try:
            chosen = None if label in (IN_TURN, None) else int(label)
            asked = controls.settings(steps, scale)
            wish = Wish(int(n or 0), int(seed or 0), chosen, prompt, asked)
            drawn = demo.pictures(wish)  # what cannot be drawn is refused here, before remarks on it
            for remark in demo.remarks(wish):
                gr.Info(plain(remark))
            yield from drawn
        except (ValueError, OutOfMemory, FloatingPointError) as error:
            raise gr.Error(plain(str(error)), print_exception=False) from error

    return pictures


def plain(text: str) -> str:
    """Escape a message for a page that would take it for HTML: it may quote what a visitor typed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def launch(demo: Demo, controls: Controls, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C; visitors wait in turn, since a model draws for one at a time.

    port: 0 takes a free one. say: takes the address. Nothing is sent to anybody: no link is shared, no
    statistics, no fonts or scripts of other sites. Raises ValueError where the address cannot be used.
    """
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    blocks = page(demo, controls).queue(default_concurrency_limit=1, max_size=16, api_open=False)
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port or None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            show_error=True,
            theme=theme,
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            max_file_size="1kb",  # nothing is uploaded
        )
    except OSError as error:
        raise ValueError(
            f"--host {host} --port {port} cannot be listened at ({error}): give a port "
            "that is free, or 0 for any"
        ) from error
    say(address)
    blocks.block_thread()
