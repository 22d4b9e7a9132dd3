"""DINOv2 features against torch's own transformer, with random weights of the published layout."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from genbench.data import Digits, ImageData
from genbench.data.source import file_digest
from genbench.metrics import DINOv2Features, FeatureExtractor, MissingWeights
from genbench.metrics.features import dinov2
from genbench.metrics.features.dinov2 import resized
from genbench.metrics.features.vit import VisionTransformer
from genbench.runtime.progress import Progress

CPU = torch.device("cpu")
WIDTH, DEPTH = 384, 12
ENDS = ("weight", "bias")
FEW = 2  # blocks, where all are alike


def published(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """The entries of the published files, written down from their names."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1370, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for i in range(depth):
        shapes |= {
            f"blocks.{i}.{norm}.{end}": (width,) for norm in ("norm1", "norm2") for end in ("weight", "bias")
        }
        shapes |= {f"blocks.{i}.{scale}.gamma": (width,) for scale in ("ls1", "ls2")}
        layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
        for layer, (out, into) in layers.items():
            shapes[f"blocks.{i}.{layer}.weight"] = (out * width, into * width)
            shapes[f"blocks.{i}.{layer}.bias"] = (out * width,)
    return shapes


def drawn(width: int = WIDTH, depth: int = DEPTH) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=rng) / max(1, torch.empty(shape)[0].numel()) ** 0.5
        for name, shape in published(width, depth).items()
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / "vits14.pth"
    torch.save(drawn(), path)
    return path


@pytest.fixture(scope="module")
def extractor(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureExtractor:
    from genbench.data import prepare

    data = prepare(Digits(), cache=tmp_path_factory.mktemp("digits"), progress=Progress(None))
    return DINOv2Features(str(weights)).build(data, device=CPU, progress=Progress(None))


def torchs_own(state: dict[str, Tensor]) -> nn.TransformerEncoder:
    """The blocks by torch's layers, whose output weights carry what scales each feature."""
    layer = nn.TransformerEncoderLayer(
        WIDTH,
        WIDTH // 64,
        4 * WIDTH,
        dropout=0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    )
    encoder = nn.TransformerEncoder(layer, FEW, nn.LayerNorm(WIDTH, eps=1e-6), enable_nested_tensor=False)
    theirs = {"norm.weight": state["norm.weight"], "norm.bias": state["norm.bias"]}
    names = {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "linear1"}
    scaled = {"attn.proj": ("self_attn.out_proj", "ls1"), "mlp.fc2": ("linear2", "ls2")}
    for i in range(FEW):
        ours, to = f"blocks.{i}.", f"layers.{i}."
        for end in ("weight", "bias"):
            theirs |= {f"{to}{new}.{end}": state[f"{ours}{old}.{end}"] for old, new in names.items()}
            theirs[f"{to}self_attn.in_proj_{end}"] = state[f"{ours}attn.qkv.{end}"]
            for old, (new, scale) in scaled.items():
                value, gamma = state[f"{ours}{old}.{end}"], state[f"{ours}{scale}.gamma"]
                theirs[f"{to}{new}.{end}"] = gamma.view(-1, *[1] * (value.dim() - 1)) * value
    encoder.load_state_dict(theirs)
    return encoder.eval()


@torch.no_grad()
def test_it_equals_torchs_transformer_on_images_of_the_size_it_was_trained_on() -> None:
    state, network = drawn(WIDTH, FEW), VisionTransformer(WIDTH, FEW)
    network.load_state_dict(state)
    x = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(1))
    patches = x.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).reshape(1, 37 * 37, -1)
    tokens = patches @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    tokens = torch.cat([state["cls_token"], tokens], dim=1) + state["pos_embed"]
    expected = torchs_own(state)(tokens)[:, 0]
    torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-4)  # float32, sums in another order


def test_positions_are_resized_as_an_image_of_them_would_be() -> None:
    """A plane stays a plane away from the edges, and the class token keeps its own."""
    network = VisionTransformer(64, 1)
    rows, columns = torch.meshgrid(torch.arange(37.0), torch.arange(37.0), indexing="ij")
    with torch.no_grad():
        network.pos_embed[0, 1:] = (2 * rows + columns).flatten()[:, None]
        network.pos_embed[0, 0] = 7
        found = network.positions(16, 16)
    assert found.shape == (1, 257, 64)
    assert bool((found[0, 0] == 7).all())
    step = 37 / 16.1  # the published network adds a tenth of a patch before it divides
    centres = (torch.arange(16) + 0.5) * step - 0.5
    expected = 2 * centres[:, None] + centres
    inside = found[0, 1:, 0].unflatten(0, (16, 16))[2:-2, 2:-2]
    # torch's cubic (a = -3/4) bends a line of slope 1 by 0.048; without the tenth the last were 0.6 off.
    torch.testing.assert_close(inside, expected[2:-2, 2:-2], rtol=0, atol=3 * 0.05)


@pytest.mark.parametrize("side", [8, 32, 300])
def test_images_are_resized_as_pillow_does_it(side: int) -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, 1, side, side), generator=rng, dtype=torch.uint8)
    theirs = np.asarray(Image.fromarray(image[0, 0].numpy()).resize((224, 224), Image.Resampling.BICUBIC))
    ours = resized(image)
    assert ours.shape == (1, 3, 224, 224)
    difference = (ours[0, 0] - torch.from_numpy(theirs.astype(np.float32))).abs()
    assert float(difference.max()) <= 1  # Pillow sums in whole numbers
    assert float(difference.mean()) < 0.05


def test_features_are_the_class_tokens_and_there_are_no_classes(
    extractor: FeatureExtractor, weights: Path
) -> None:
    images = torch.randint(
        0, 256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    with torch.autocast("cpu", torch.bfloat16):  # which must not reach the features
        features, logits = extractor(images)
    assert features.dtype == torch.float32
    assert (features.shape, logits.shape) == ((3, WIDTH), (3, 0))
    assert extractor.protocol == f"dinov2-vits14-{file_digest(weights)[:8]},res=bicubic224,grey"
    alone = extractor(images[1:2]).features
    torch.testing.assert_close(alone, features[1:2], rtol=1e-4, atol=1e-4)
    assert float((features[0] - features[1]).norm()) > 1e-3


@pytest.mark.parametrize(
    ("width", "depth", "name"), [(384, 12, "vits14"), (768, 12, "vitb14"), (1024, 24, "vitl14")]
)
def test_the_layout_of_every_size_is_the_published_one(width: int, depth: int, name: str) -> None:
    with torch.device("meta"):
        network = VisionTransformer(width, depth)
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found == published(width, depth), name


def test_another_layout_is_refused_with_the_first_entries_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "registers.pth"
    state = {name: value for name, value in drawn().items() if name != "blocks.3.ls1.gamma"}
    torch.save(state | {"register_tokens": torch.zeros(1, 4, WIDTH)}, path)
    message = "registers.pth differs from DINOv2 vits14 in 2 entries: blocks.3.ls1.gamma (file None"
    with pytest.raises(ValueError, match=re.escape(message)):
        DINOv2Features(str(path)).check(Digits())
    torch.save({"cls_token": torch.zeros(1, 1, 100)}, path)
    with pytest.raises(ValueError, match="100 features; DINOv2 has 384, 768, 1024"):
        DINOv2Features(str(path)).check(Digits())
    torch.save({"model": {}}, path)
    with pytest.raises(ValueError, match="differs from"):
        DINOv2Features(str(path)).check(Digits())


def test_weights_that_are_not_there_are_refused_before_any_work(digits: ImageData) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        DINOv2Features("nowhere.pth").check(Digits())


def test_without_a_file_the_published_one_is_looked_for_and_missed_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    # port 9 of this very machine, where nobody listens
    monkeypatch.setattr(dinov2, "VITL14", dinov2.VITL14._replace(url="http://127.0.0.1:9/vitl14.pth"))
    message = r"DINOv2 weights are not at .*refused\): put dinov2_vitl14_pretrain\.pth there, set features"
    with pytest.raises(MissingWeights, match=message):
        DINOv2Features().check(Digits())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # no half of one is left
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "dinov2_vitl14_pretrain.pth").symlink_to(weights)
    DINOv2Features().check(Digits())


@torch.no_grad()
def test_it_equals_the_model_of_transformers_with_the_same_weights() -> None:
    """At the size of its training, where neither resizes positions; the library has q, k and v apart."""
    transformers = pytest.importorskip("transformers")
    state, network = drawn(64, 1), VisionTransformer(64, 1)
    network.load_state_dict(state)
    config = transformers.Dinov2Config(
        hidden_size=64, num_hidden_layers=1, num_attention_heads=1, image_size=518, patch_size=14
    )
    theirs = transformers.Dinov2Model(config).eval()
    names = {
        "embeddings.cls_token": "cls_token",
        "embeddings.mask_token": "mask_token",
        "embeddings.position_embeddings": "pos_embed",
        **{f"embeddings.patch_embeddings.projection.{e}": f"patch_embed.proj.{e}" for e in ENDS},
        **{f"layernorm.{e}": f"norm.{e}" for e in ENDS},
        **{f"encoder.layer.0.layer_scale{i}.lambda1": f"blocks.0.ls{i}.gamma" for i in (1, 2)},
    }
    for part, own in {
        "norm1": "norm1",
        "norm2": "norm2",
        "attention.o_proj": "attn.proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
    }.items():
        names |= {f"encoder.layer.0.{part}.{e}": f"blocks.0.{own}.{e}" for e in ENDS}
    given = {name: state[own] for name, own in names.items()}
    for e in ENDS:
        thirds = state[f"blocks.0.attn.qkv.{e}"].chunk(3)
        for part, third in zip(("q_proj", "k_proj", "v_proj"), thirds, strict=True):
            given[f"encoder.layer.0.attention.{part}.{e}"] = third
    theirs.load_state_dict(given)
    x = torch.randn(1, 3, 518, 518, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network(x), theirs(x).pooler_output, rtol=1e-4, atol=1e-4)
