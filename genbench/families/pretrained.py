"""Pipelines of the library diffusers as they are: models trained elsewhere, which draw samples under the same
protocol as those that are trained here.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genbench.generator import Condition, Generator, Loss, Rng, Y
from genbench.records.pipelines import load_pipeline
from genbench.records.texts import read_prompts
from genbench.records.transformer_models import tokenizer_hash
from genbench.runtime.frozen_weights import FrozenWeights
from genbench.text.spelled import read_spelled, spelled_out

__all__ = ["DiffusersPipeline"]

DENOISERS, DECODERS = ("unet", "transformer", "prior"), ("vae", "vqvae", "movq")
CONDITIONS = ("batch_size", "class_labels", "prompt")
"""Arguments of pipelines that say what to draw; a pipeline needs one of them."""
NULL_CLASS = 1000
"""The label of "no class" in DiT, whatever the number of its classes."""


class DiffusersPipeline(FrozenWeights, Generator):
    """A pipeline of diffusers: unconditional, conditional on classes, or on texts; there is nothing to train.

    path: a folder that `save_pretrained` wrote, or USER/NAME on the Hub, of a `revision` or the newest one.
    steps, guidance: of the sampling, None for the pipeline's own. prompts: file of texts, one a line; y
    chooses among them, without classes they come in turn, from a random one on. None, of a pipeline of texts:
    y is the texts themselves, such as captions of the data. Weights are read from safetensors files, in
    float32; nothing in the folder is executed.
    shape, num_classes: those of the data. Raises ValueError where the pipeline does not fit them.
    """

    phases = ()
    origin = "pipeline's weights"
    companion = "files of the pipeline's tokenizers"

    def __init__(
        self,
        shape: tuple[int, int, int],
        num_classes: int = 0,
        *,
        path: str,
        revision: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        prompts: str | None = None,
    ) -> None:
        super().__init__(shape, num_classes)
        self.pipeline = load_pipeline(path, revision)
        modules = {k: part for k, part in self.pipeline.components.items() if isinstance(part, nn.Module)}
        self.parts = nn.ModuleDict(modules)
        self.freeze(beside=tokenizer_hash(self.tokenizers))
        self.texts = [] if prompts is None else read_prompts(Path(prompts), key="model.prompts")
        named = inspect.signature(self.pipeline.__call__).parameters
        self.takes = {key: found for key, found in named.items() if found.kind is not found.VAR_KEYWORD}
        given = {"num_inference_steps": steps, "guidance_scale": guidance}
        self.settings: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        self.takes_text = self.is_of_texts and not self.texts and not num_classes
        self.check_settings()
        self.check_shape()
        self.check_classes()

    def check_settings(self) -> None:
        """Raise ValueError on settings that the pipeline does not take, or that cannot be."""
        name = type(self.pipeline).__name__
        for key, setting in (("num_inference_steps", "model.steps"), ("guidance_scale", "model.guidance")):
            if key in self.settings and key not in self.takes:
                raise ValueError(f"{setting} is {self.settings[key]}, and {name} has no {key}: leave it out")
        most = self.pipeline.scheduler.config.get("num_train_timesteps", 1000)
        steps = self.settings.get("num_inference_steps", 1)
        if not 1 <= steps <= most:
            raise ValueError(f"model.steps is {steps}; {name} takes from 1 to {most}")
        required = {key for key, found in self.takes.items() if found.default is inspect.Parameter.empty}
        if needed := sorted(required - {*CONDITIONS}):
            raise ValueError(f"{name} needs {', '.join(needed)}: choose one that needs only noise")
        if not {*CONDITIONS} & {*self.takes}:
            raise ValueError(f"{name} takes none of {', '.join(CONDITIONS)}: choose another")
        if self.texts and not self.is_of_texts:
            raise ValueError(f"{name} takes no prompts: leave out model.prompts")
        if self.is_of_texts and not self.texts and not self.takes_text:
            raise ValueError(f"{name} needs prompts: give model.prompts=FILE, one per line and class")

    def check_shape(self) -> None:
        """Raise ValueError where the pipeline's images, as its configuration says, are not the data's."""
        shape = image_shape(self.parts)
        if shape is not None:
            self.check_drawn(shape)

    def check_drawn(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless a shape (C, H, W) of the pipeline's images is that of the data."""
        if shape != self.shape:
            raise ValueError(
                f"the pipeline draws images of {shape}, and the data have {self.shape}, both (C, H, W): use "
                "other data, or for data=image_folder set data.size and data.channels to the pipeline's"
            )

    def check_classes(self) -> None:
        """Raise ValueError unless the data's classes are those that the pipeline draws."""
        own = len(self.texts) if self.num_classes and self.is_of_texts else self.own_classes
        if own and not self.num_classes and not self.is_of_texts:
            raise ValueError(f"the pipeline draws images of {own} classes: use conditional=true")
        if self.num_classes and own != self.num_classes:
            what = "prompts, one a class" if self.is_of_texts else "classes"
            raise ValueError(
                f"the pipeline has {own} {what}, and the data have {self.num_classes} classes: use "
                "conditional=false, or data of its classes"
            )
        scale = self.settings.get("guidance_scale", self.default("guidance_scale"))
        if self.default("class_labels") is inspect.Parameter.empty and scale > 1 and own != NULL_CLASS:
            raise ValueError(
                f"{type(self.pipeline).__name__} is guided by class {NULL_CLASS} as none, and this one has "
                f"{own} classes: use model.guidance=1, which is no guidance"
            )

    @property
    def is_of_texts(self) -> bool:
        """True for a pipeline that draws to texts."""
        return "prompt" in self.takes

    @property
    def tokenizers(self) -> list[Any]:
        """The tokenizers of a pipeline that draws to texts."""
        parts = self.pipeline.components.items()
        return [part for key, part in parts if key.startswith("tokenizer") and part is not None]

    @property
    def own_classes(self) -> int:
        """The number of classes that the pipeline was trained on, 0 for one without classes."""
        config = configuration(self.parts, DENOISERS)
        if "class_labels" not in self.takes:
            return 0
        return config.get("num_class_embeds") or config.get("num_embeds_ada_norm") or 0

    def default(self, key: str) -> Any:  # noqa: ANN401
        """The default of an argument of the pipeline, None where it does not take it."""
        return self.takes[key].default if key in self.takes else None

    def condition(self, texts: Sequence[str]) -> Condition:
        """Return the texts by their bytes, since the pipeline has a tokenizer of its own. Raises ValueError
        on one that all of its text encoders would cut off."""
        name = type(self.pipeline).__name__
        if not self.takes_text:
            kind = "model.prompts gives its texts: leave it out" if self.texts else "it draws to none"
            raise ValueError(f"{name} is not given texts: {kind}")
        if self.tokenizers and texts:
            longest = max(self.tokenizers, key=lambda each: each.model_max_length)
            counts = [len(ids) for ids in longest(list(texts), verbose=False).input_ids]
            if max(counts) > longest.model_max_length:
                text = texts[counts.index(max(counts))]
                raise ValueError(
                    f"the text {text[:80]!r} has {max(counts)} tokens, and {name} takes at most "
                    f"{longest.model_max_length}: shorten it"
                )
        return spelled_out(texts)

    def loss(self, x: Tensor, y: Y = None, *, phase: str = "net", step: int = 0) -> Loss:
        raise ValueError("this model is not trained here, so it has no loss: sample from it alone")

    @torch.no_grad()
    def sample(self, n: int, y: Y = None, *, rng: Rng | None = None) -> Tensor:
        self.check_labels(y, n)
        device = self.fingerprint.device
        asked: dict[str, Any] = {"generator": rng, "output_type": "np", **self.settings}
        if isinstance(y, Condition):
            asked["prompt"] = read_spelled(y)
        elif self.is_of_texts:
            asked["prompt"] = [self.texts[k] for k in self.numbers(n, y, rng)]
        elif y is not None:
            asked["class_labels"] = y.tolist()
        if "batch_size" in self.takes:
            asked["batch_size"] = n
        images = torch.from_numpy(np.asarray(self.pipeline(**asked).images)).permute(0, 3, 1, 2)
        self.check_drawn(tuple(images.shape[1:]))
        return images.to(device, torch.float32).contiguous() * 2 - 1

    def numbers(self, n: int, y: Tensor | None, rng: Rng | None) -> list[int]:
        """The numbers of the prompts of n images: their labels y (n,), else in turn from a random one on."""
        if y is not None:
            return y.tolist()
        device = "cpu" if rng is None else rng.device
        start = int(torch.randint(len(self.texts), (1,), generator=rng, device=device))
        return [(start + k) % len(self.texts) for k in range(n)]

    def networks(self) -> list[nn.Module]:
        """Return the networks that are called at each step, and the decoder of latents where there is one."""
        decoders = [self.parts[name].get_submodule("decoder") for name in DECODERS if name in self.parts]
        return [self.parts[name] for name in DENOISERS if name in self.parts] + decoders


def configuration(parts: nn.ModuleDict, names: Iterable[str]) -> Mapping[str, Any]:
    """Return the configuration of the first of these components that a pipeline has, empty without any."""
    found: Any = next((parts[name] for name in names if name in parts), None)
    return {} if found is None else found.config


def image_shape(parts: nn.ModuleDict) -> tuple[int, int, int] | None:
    """Return the shape (C, H, W) of a pipeline's images, as its networks' configurations say; None where they
    do not say it, so that only samples do."""
    denoiser, decoder = configuration(parts, DENOISERS), configuration(parts, DECODERS)
    size, channels = denoiser.get("sample_size"), denoiser.get("in_channels")
    if decoder:
        channels = decoder.get("out_channels")
    if size is None or channels is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    scale = 2 ** (len(decoder.get("block_out_channels", "1")) - 1)
    return channels, height * scale, width * scale
