"""TensorBoard as a mirror of the log; the only importer of its writer and, through it, of tensorboard."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from genbench.tracking.mirror import Mirror, MirrorRecipe, Opening, Picture, Sent
from genbench.tracking.moving_picture import gif_of, is_moving

__all__ = ["TensorBoard", "TensorBoardRecipe"]

FOLDER = "tensorboard"
"""The folder of event files, in the directory of a run: `tensorboard --logdir runs` finds all of them."""


class TensorBoard(Mirror):
    """Event files in RUN/tensorboard, whose steps are images seen; the configuration and the result as text.

    A resumed run drops all events after its checkpoint, by a mark that TensorBoard's readers obey. Event
    files hold no other files: tracker.artifacts changes nothing here.
    """

    title = "tensorboard"

    def __init__(self, opening: Opening) -> None:
        from torch.utils.tensorboard import SummaryWriter

        last = opening.state.get(TensorBoardRecipe.key)
        # Those beyond are purged, and logged again; at the checkpoint's own step some came before it.
        sent = Sent() if last is None else Sent(pair for pair in opening.sent if pair[1] <= last)
        purge_step = 0 if last is None else last + 1
        self.writer = SummaryWriter(str(opening.run_dir / FOLDER), purge_step=purge_step, flush_secs=10)
        super().__init__(opening._replace(sent=sent))
        self.images_seen = last or 0
        if last is None:
            self.background.call(lambda: self.send_text("configuration", opening.config, 0))

    def send_values(self, values: Mapping[str, float], images_seen: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, images_seen)

    def send_picture(self, picture: Picture, images_seen: int) -> None:
        import numpy as np
        from PIL import Image

        if is_moving(picture.path):
            self.send_animation(picture, images_seen)
            return
        with Image.open(picture.path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self.writer.add_image(picture.name, pixels, images_seen, dataformats="HWC")

    def send_animation(self, picture: Picture, images_seen: int) -> None:
        """Write an animation as a GIF in the place of an image, as add_video does with arrays."""
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        with Image.open(picture.path) as image:
            width, height = image.size
        gif = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=gif_of(picture.path)
        )
        summary = Summary(value=[Summary.Value(tag=picture.name, image=gif)])
        self.writer._get_file_writer().add_summary(summary, images_seen)

    def send_summary(self, values: Mapping[str, float | str | None], images_seen: int) -> None:
        # A chart of one point each, by which runs compare: of the short keys alone, the text has the others.
        short = {k: v for k, v in values.items() if isinstance(v, int | float) and "[" not in k}
        self.send_values(short, images_seen)
        self.send_text("result", values, images_seen)

    def send_text(self, name: str, values: Mapping[str, Any], images_seen: int) -> None:
        """Write a mapping as JSON, indented by four spaces, which TensorBoard shows as it stands."""
        text = json.dumps(dict(values), indent=1, default=str)
        self.writer.add_text(name, "\n".join(f"    {line}" for line in text.splitlines()), images_seen)

    def send_files(self, files: Mapping[str, Path]) -> None:
        """Store nothing: an event file holds no files."""

    def state(self) -> dict[str, Any]:
        return {TensorBoardRecipe.key: self.images_seen}

    def end(self, *, is_done: bool) -> None:
        self.writer.close()


@dataclass(frozen=True)
class TensorBoardRecipe(MirrorRecipe):
    """Opens event files of TensorBoard in a run's directory, for `tracker=tensorboard`; needs no server.

    required: raise MirrorStartError where tensorboard is missing or does not start, instead of a note.
    """

    library: ClassVar[str] = "tensorboard"
    package: ClassVar[str] = "tensorboard"
    key: ClassVar[str] = "tensorboard_step"

    def open(self, opening: Opening) -> TensorBoard:
        return TensorBoard(opening)
