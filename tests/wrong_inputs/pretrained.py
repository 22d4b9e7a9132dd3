"""Pipelines of diffusers that are not there, and budgets that do not fit a model."""

from pathlib import Path

from tests.wrong_inputs import Wrong


def empty(folder: Path) -> None:
    (folder / "pipeline").mkdir()


ROWS = (
    Wrong(
        "main model=diffusers",
        ("model.path has no value", "model.path=VALUE, the folder of a"),
    ),
    Wrong(
        "main model=diffusers model.path=/no/where",
        ("model.path is '/no/where', which is not a folder", "USER/NAME"),
    ),
    Wrong("main model=diffusers model.path=pipeline", ("no model_index.json", "save_pretrained"), empty),
    Wrong(
        "main data=captioned text=clip",
        ("text.path=VALUE, the folder", "on the Hub, such as openai/clip"),
    ),
    Wrong(
        "main data=captioned text=t5 text.path=/no/where",
        ("text.path is '/no/where'", "give one, or USER/NAME"),
    ),
    Wrong(
        "main data=captioned text=clip text.path=pipeline", ("holds no config.json", "save_pretrained"), empty
    ),
    Wrong(
        "main model=unclip data=gaussians",
        ("no network that is shipped", "image_encoder=run", "clip"),
    ),
    Wrong("main model=unclip model.share=1", ("model.share is 1", "e.g. 0.3")),
    Wrong("main budget=not_trained", ("budget=not_trained", "give budget.images=N")),
)
