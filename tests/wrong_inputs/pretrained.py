"""Pipelines of diffusers that are not there, and budgets that do not fit a model."""

from pathlib import Path

from tests.wrong_inputs import Wrong


def empty(folder: Path) -> None:
    (folder / "pipeline").mkdir()


ROWS = (
    Wrong("main model=diffusers", ("model.path has no value", "give it one, model.path=VALUE")),
    Wrong(
        "main model=diffusers model.path=/nowhere", ("/nowhere holds no model_index.json", "save_pretrained")
    ),
    Wrong("main model=diffusers model.path=pipeline", ("no model_index.json", "save_pretrained"), empty),
    Wrong("main budget=not_trained", ("budget=not_trained", "give budget.images=N")),
)
