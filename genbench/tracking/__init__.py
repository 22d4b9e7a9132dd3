"""Trackers of a run: JSON lines always, and the libraries that mirror them, such as Weights & Biases.

Each library of a tracker is imported by its own file alone; knows values and files, and no model.
"""

from genbench.tracking.jsonl import JsonLines
from genbench.tracking.mirror import Mirror, MirrorRecipe
from genbench.tracking.mlflow import MlflowRecipe
from genbench.tracking.options import Tracking
from genbench.tracking.tensorboard import TensorBoardRecipe
from genbench.tracking.tracker import Tracker, Trackers
from genbench.tracking.trackio import TrackioRecipe
from genbench.tracking.wandb import WandbRecipe
from genbench.tracking.wandb_upload import upload_command

__all__ = [
    "JsonLines",
    "Mirror",
    "MirrorRecipe",
    "MlflowRecipe",
    "TensorBoardRecipe",
    "Tracker",
    "Trackers",
    "Tracking",
    "TrackioRecipe",
    "WandbRecipe",
    "upload_command",
]
