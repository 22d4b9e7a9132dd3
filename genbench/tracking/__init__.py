"""What a run tells while it lasts: JSON lines always, Weights & Biases as their mirror."""

from genbench.tracking.choice import JsonlTracking, Tracking, WandbTracking, flatten
from genbench.tracking.jsonl import JsonLines
from genbench.tracking.tracker import Tracker, Trackers
from genbench.tracking.wandb import upload_command

__all__ = [
    "JsonLines",
    "JsonlTracking",
    "Tracker",
    "Trackers",
    "Tracking",
    "WandbTracking",
    "flatten",
    "upload_command",
]
