"""Which of the states on the way to a sample are shown, as frames."""

__all__ = ["check_frames", "frame_indices"]


def check_frames(frames: int) -> None:
    """Raise ValueError unless there are at least two frames, the first state and the last."""
    if frames < 2:
        raise ValueError(f"frames is {frames}; it must be at least 2, the first state and the last")


def frame_indices(states: int, frames: int) -> list[int]:
    """Return the indices of `frames` out of `states` states, evenly spaced from the first to the last.
    Indices repeat where there are fewer states than frames. Raises ValueError on fewer than two frames."""
    check_frames(frames)
    return [round(i * (states - 1) / (frames - 1)) for i in range(frames)]
