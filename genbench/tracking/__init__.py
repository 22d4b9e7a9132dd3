"""Trackers of a run: JSON lines always, Weights & Biases as their mirror.

Each library of a tracker is imported by its own file alone; knows values and files, and no model.
"""

from genbench.tracking.jsonl import JsonLines
from genbench.tracking.options import JsonlTracking, Tracking, WandbTracking
from genbench.tracking.tracker import Tracker, Trackers
from genbench.tracking.wandb import upload_command

__all__ = [
    "JsonLines",
    "JsonlTracking",
    "Tracker",
    "Trackers",
    "Tracking",
    "WandbTracking",
    "upload_command",
]
