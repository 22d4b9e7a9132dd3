"""Agreement of images with their captions, as CLIP sees it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genbench.data import ImageSource, to_float
from genbench.metrics.cache import digest
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.interval import Influences
from genbench.metrics.scores.score import Drawn, Score
from genbench.records.metric_kinds import KINDS
from genbench.records.transformer_models import CLIP, check_tokens, load_model, load_tokenizer
from genbench.runtime.precision import full_precision
from genbench.text.clip_image import clip_pixels

__all__ = ["CLIPScore"]

BATCH = 64
CPU = torch.device("cpu")


class Published(NamedTuple):
    """A CLIP of the library transformers, with its tokenizer and the sha256 of its weights."""

    model: Any
    tokenizer: Any
    sha256: str


class CLIPScore(Score):
    """Mean over images of w max(cos(image, caption), 0), of embeddings by CLIP.

    path: a folder of the whole CLIP that `save_pretrained` wrote, or USER/NAME on the Hub, of a `revision` or
    the newest one; nothing in it is executed. weight: w, by which others scale the value too. samples: how
    many images are scored at most, on the CPU. Captions are cut at the most tokens that CLIP takes.
    No values for images without captions. The name of the value carries 8 digits of the sha256 of the
    weights. Raises ValueError on a weight of 0 or less, and on fewer than 2 samples.
    Source: Hessel et al. 2021, Section 3 (w = 2.5, by which values reach from 0 to about 1). The authors put
    "A photo depicts" before each caption; captions stand alone here.
    """

    key = "clip_score"
    kinds = (KINDS["clip_score"],)
    on_features = False

    def __init__(
        self,
        path: str | None = None,
        *,
        revision: str | None = None,
        weight: float = 2.5,
        samples: int = 1000,
    ) -> None:
        if not 0 < weight < float("inf"):
            raise ValueError(f"scores.clip_score.weight is {weight}; it must be above 0, as published 2.5")
        if samples < 2:
            raise ValueError(f"scores.clip_score.samples is {samples}; it must be 2 or more")
        self.path, self.revision, self.weight, self.samples = path, revision, weight, samples

    def fault(self, source: ImageSource) -> str:
        if not source.captioned:
            return (
                f"scores.clip_score compares images with their captions, and {source.name} has none: use "
                "data with captions, or leave the score out"
            )
        if source.shape[0] not in (1, 3):
            return f"images of {source.name} have {source.shape[0]} channels; scores.clip_score takes 1 or 3"
        if self.path is None:
            return (
                "scores.clip_score.path is null: name a folder of CLIP's weights that save_pretrained wrote, "
                "or USER/NAME on the Hub, such as scores.clip_score.path=openai/clip-vit-base-patch32"
            )
        _ = self.published  # what cannot be loaded raises
        return ""

    @cached_property
    def published(self) -> Published:
        """CLIP with its tokenizer, loaded when first needed and then held; raises as `load_model` does."""
        assert self.path is not None
        key = f"scores.{self.key}"
        model = load_model(CLIP, self.path, self.revision, key=key)
        tokenizer = load_tokenizer(CLIP, self.path, self.revision, key=key)
        check_tokens(tokenizer, model.text_model.get_input_embeddings().num_embeddings, self.path, key=key)
        return Published(model, tokenizer, digest(model.state_dict()))

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        texts = drawn.texts
        if not texts or self.path is None:
            return {}
        chosen = subset(torch.arange(len(texts)), self.samples)
        with full_precision(CPU):
            parts = [
                self.cosines(drawn.images[index], [texts[i] for i in index.tolist()])
                for index in chosen.split(BATCH)
            ]
        each = self.weight * torch.cat(parts).clamp(min=0).double()
        name = drawn.name(
            self.key,
            ref=None,
            n=len(each),
            protocol=f"clip-{self.published.sha256[:8]}",
            part=() if self.weight == 2.5 else (f"w={self.weight:g}",),
        )
        return drawn.scored(name, float(each.mean()), influences=Influences(each))

    @torch.no_grad()
    def cosines(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Cosine of the embeddings of each image, (B, C, H, W) uint8, and its text: (B,)."""
        model, tokenizer, _ = self.published
        most = model.config.text_config.max_position_embeddings
        words = tokenizer(list(texts), padding=True, truncation=True, max_length=most, return_tensors="pt")
        pixels = clip_pixels(to_float(images), model.config.vision_config.image_size)
        found = model(pixel_values=pixels, **words)
        return (found.image_embeds * found.text_embeds).sum(1)  # of length 1 each
