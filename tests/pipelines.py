"""Tiny pipelines of diffusers with random weights, made and written by the library itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

__all__ = ["CLASSES", "SIZE", "consistency", "ddim", "ddpm", "dit", "stable_diffusion"]

SIZE, CLASSES = 8, 10
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def written(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    return folder


def unet(classes: int | None = None, *, seed: int = 0) -> Any:
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return diffusers.UNet2DModel(
            sample_size=SIZE,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "UpBlock2D"),
            num_class_embeds=classes,
        )


def vae(channels: int) -> Any:
    diffusers = pytest.importorskip("diffusers")
    return diffusers.AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8,),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=SIZE,
    )


def ddpm(folder: Path, *, seed: int = 0) -> Path:
    diffusers = pytest.importorskip("diffusers")
    return written(diffusers.DDPMPipeline(unet(seed=seed), diffusers.DDPMScheduler()), folder)


def ddim(folder: Path) -> Path:
    diffusers = pytest.importorskip("diffusers")
    return written(diffusers.DDIMPipeline(unet(), diffusers.DDIMScheduler()), folder)


def consistency(folder: Path, classes: int | None = None) -> Path:
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.CMStochasticIterativeScheduler()
    return written(diffusers.ConsistencyModelPipeline(unet(classes), scheduler), folder)


def dit(folder: Path) -> Path:
    """Of latents, conditional on ten classes."""
    diffusers = pytest.importorskip("diffusers")
    transformer = diffusers.DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        sample_size=SIZE,
        patch_size=2,
        num_embeds_ada_norm=CLASSES,
        norm_num_groups=4,
    )
    return written(diffusers.DiTPipeline(transformer, vae(1), diffusers.DDIMScheduler()), folder)


def stable_diffusion(folder: Path) -> Path:
    """Of latents of colour images, drawn to texts."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip(
        "transformers", reason="its text encoder is of the library transformers"
    )
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = folder / "vocabulary"
    vocabulary.mkdir(parents=True)
    (vocabulary / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (vocabulary / "merges.txt").write_text("#version: 0.2\n")
    text = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    network = diffusers.UNet2DConditionModel(
        sample_size=SIZE,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae(3),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(str(vocabulary), model_max_length=8),
        unet=network,
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return written(pipeline, folder / "pipeline")
