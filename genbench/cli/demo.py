"""Verb that shows a page on which to draw from a trained model."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genbench.cli.output import say
from genbench.cli.sampling_options import Model
from genbench.cli.verb import (
    WEIGHTS_HELP,
    ConfigDir,
    Device,
    RunsItself,
    Weights,
    check_run,
    context_on,
    examples,
    warnings_in_lines,
)
from genbench.runtime.printable import complain

if TYPE_CHECKING:
    from genbench.demo.page import Controls
    from genbench.generator import Generator

__all__ = ["verbs"]

verbs = typer.Typer()


@verbs.command("demo", cls=RunsItself, epilog=examples(["genbench demo RUN", "genbench demo RUN --port 0"]))
@dataclass(frozen=True)
class DemoPage:
    """Draw from a trained model in a browser.

    A class or a prompt, steps, guidance and seed become a grid of images, shown as they come out of noise.
    The last picture has the images of `genbench sample` with these settings. Its address is printed; Ctrl-C
    ends it. Needs gradio: the extra `demo`.
    """

    run_dir: Model
    weights: Annotated[Weights, typer.Option(help=WEIGHTS_HELP)] = Weights.ema
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="Address to listen at; any other than 127.0.0.1 lets others draw."),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 7860
    device: Device = "auto"
    config_dir: ConfigDir = None

    def run(self) -> None:
        """Load the model, then serve the page until it is stopped."""
        check_run(self.run_dir)
        try:
            from genbench.demo.page import launch
        except ModuleNotFoundError as error:  # an extra, which few need
            raise ValueError(f'{error.name} is not installed: pip install -e ".[demo]"') from error
        from genbench.app import load
        from genbench.app.hub import fetched
        from genbench.demo.drawing import Demo
        from genbench.report.page.serve import is_loopback

        folder, context = fetched(self.run_dir), context_on(self.device)
        with warnings_in_lines():
            demo = Demo(
                lambda settings: load(folder, device=self.device, weights=self.weights, overrides=settings),
                context.device,
            )
        # A shell has what it starts in the background ignore SIGINT, and nothing else would end this.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not is_loopback(self.host):
            complain(
                f"--host {self.host} lets all who can reach this machine draw from the model, without a "
                "password; 127.0.0.1 is for here alone, and through ssh -L for elsewhere"
            )
        try:
            launch(
                demo, self.controls(folder, demo.model), host=self.host, port=self.port, say=self.introduce
            )
        except KeyboardInterrupt:
            say("stopped")

    def introduce(self, address: str) -> None:
        """Print the address at which the page is."""
        say(f"{address} draws from {self.run_dir}; Ctrl-C ends it")

    def controls(self, folder: Path, model: "Generator") -> "Controls":
        """Return the controls of the page, by what the model takes and what its run records."""
        from genbench.app import sampling_settings
        from genbench.config.schema import GUIDANCE, STEPS
        from genbench.demo.page import Controls

        there = sampling_settings(folder)

        def first(keys: tuple[str, ...]) -> tuple[str, float] | None:
            found = [(key, there[key]) for key in keys if isinstance(there.get(key), int | float)]
            return found[0] if found else None

        return Controls(
            title=str(self.run_dir),
            takes_text=model.takes_text,
            num_classes=model.num_classes,
            steps=first(STEPS),
            scale=first(GUIDANCE),
        )
