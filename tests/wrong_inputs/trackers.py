"""Wrong options and settings of trackers."""

from tests.wrong_inputs import Wrong

ROWS = (
    Wrong("main tracker=tensorbord", ("tensorbord is not an option of tracker", "Did you mean tensorboard?")),
    Wrong("main tracker=[jsonl,mlfow]", ("mlfow is not an option of tracker", "choose from auto, jsonl")),
    Wrong("main tracker=tensorboard tracker.mode=offline", ("there is no key tracker.mode",)),
)
