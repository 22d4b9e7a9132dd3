"""Share of images that show what their captions say, for captioned scenes, where this is known exactly."""

from collections.abc import Sequence

import torch

from genbench.data import CaptionedScenes, ImageSource
from genbench.data.scenes import parse, satisfied
from genbench.metrics.features.scene_reader import READERS, read_scenes
from genbench.metrics.reference import Reference
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS

__all__ = ["CaptionAccuracy"]


class CaptionAccuracy(Score):
    """Share of at most 10,000 images of scenes that satisfy their captions, as the shipped reader sees them.

    caption_accuracy: everything that a caption says is right, and there is nothing else. Apart from that:
    caption_seen and caption_held_out, of captions without and with a combination of objects that no training
    scene has; caption_objects, the items are right; caption_places, besides each stands where it is to
    stand; caption_sizes, the items and the sizes that are named are right, of captions that name one.
    No values for images without captions. The reader errs: held-out images, whose captions are true, score
    the most that a model can get.
    """

    key = "caption_accuracy"
    kinds = (
        KINDS["caption_accuracy"],
        KINDS["caption_seen"],
        KINDS["caption_held_out"],
        KINDS["caption_objects"],
        KINDS["caption_places"],
        KINDS["caption_sizes"],
    )
    on_features = False

    def fault(self, source: ImageSource) -> str:
        if isinstance(source, CaptionedScenes):
            return ""
        return (
            f"scores.caption_accuracy compares scenes with their captions, and {source.name} has no scenes, "
            "so that it is not known which captions are true: use data=captioned, or leave the score out"
        )

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        texts = drawn.texts
        if not texts:
            return {}
        demands = [parse(text) for text in texts]
        shipped = READERS[demands[0].items]
        scenes = read_scenes(shipped.reader(), drawn.images)
        found = [satisfied(scene, demand) for scene, demand in zip(scenes, demands, strict=True)]
        held_out = [demand.has_held_out for demand in demands]
        marked = {
            "caption_accuracy": [each.right for each in found],
            "caption_seen": [each.right for each, new in zip(found, held_out, strict=True) if not new],
            "caption_held_out": [each.right for each, new in zip(found, held_out, strict=True) if new],
            "caption_objects": [each.objects for each in found],
            "caption_places": [each.places for each in found],
            "caption_sizes": [each.sizes for each in found if each.sizes is not None],
        }
        scores: dict[str, float] = {}
        for kind, right in marked.items():
            if right:  # of few images there may be none of a kind
                # All kinds have the n of all images in their names: their own counts vary with the captions.
                name = drawn.name(kind, ref=None, n=len(texts), protocol=shipped.protocol)
                marks = torch.tensor(right)
                share = float(marks.double().mean())
                scores |= drawn.scored(name, share, influences=marks, count=len(right))
        return scores
