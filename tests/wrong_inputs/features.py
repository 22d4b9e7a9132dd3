"""Wrong feature networks and scores: their settings, files and data that they do not fit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.wrong_inputs import Wrong


def weights(content: bytes) -> Callable[[Path], None]:
    """Give a command a file of weights with some content."""

    def given(folder: Path) -> None:
        (folder / "w.pth").write_bytes(content)

    return given


def unlabelled(folder: Path) -> None:
    """Give a command images without classes."""
    (folder / "d").mkdir()
    for number in range(200):  # a tenth of them is the test split, and scores need 20
        Image.new("L", (8, 8), number).save(folder / "d" / f"{number}.png")


def labelled(folder: Path) -> None:
    """Give a command images in folders of two classes."""
    for number in range(200):
        (folder / "d" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(folder / "d" / "ab"[number % 2] / f"{number}.png")


def images(folder: Path) -> None:
    """Give a command 30 black images of the size of digits."""
    np.savez(folder / "i.npz", samples=np.zeros((30, 8, 8), np.uint8))


def other_tensors(folder: Path) -> None:
    """Give a command a file of tensors that are of no network."""
    torch.save({"a": torch.zeros(2)}, folder / "w.pth")


def other_objects(folder: Path) -> None:
    """Give a command a file of objects that are no tensors."""
    torch.save({"a": folder}, folder / "w.pth")


IMAGES = "genbench evaluate i.npz --data digits"
FOLDER = "main data=image_folder data.root=d data.size=8 data.channels=1"
ROWS = (
    Wrong("main features=nonsense", ("nonsense", "choose from", "classifier")),
    Wrong("main metrics=nonsense", ("nonsense", "choose from", "standard")),
    Wrong("main scores=[nonsense]", ("nonsense", "choose from", "fid")),
    Wrong("main metrics=classifier features.images=0", ("features.images is 0", "from 64 (one batch) to")),
    Wrong("main metrics=classifier features.images=-64", ("features.images is -64", "64")),
    Wrong("main metrics=classifier features.images=63", ("features.images is 63", "64")),
    Wrong("main metrics=classifier features.images=many", ("features.images is 'many'", "whole number")),
    Wrong("main metrics=classifier features.images=1.5", ("features.images is 1.5", "whole number")),
    Wrong("main metrics=classifier features.images=true", ("features.images is true", "whole number")),
    Wrong("main metrics=classifier features.images=null", ("features.images is null", "whole number")),
    Wrong("main metrics=classifier features.images=nan", ("features.images is nan", "whole number")),
    Wrong("main metrics=classifier features.images=[64]", ("features.images is [64]", "whole number")),
    Wrong("main metrics=classifier features.seed=-1", ("features.seed is -1", "0 or more")),
    Wrong("main metrics=classifier features.seed=x", ("features.seed is 'x'", "whole number")),
    Wrong("main metrics=classifier features.seed=1.5", ("features.seed is 1.5", "whole number")),
    Wrong("main metrics=classifier features.weights=w.pth", ("features.weights",)),
    Wrong("main metrics=classifier features.image=64", ("features.image", "images")),
    Wrong(f"{FOLDER} metrics=classifier", ("no classes", "add labels", "metrics=likelihood or"), unlabelled),
    Wrong(f"{FOLDER} features=classifier", ("no classes", "add labels", "features=inception"), unlabelled),
    Wrong(f"{FOLDER} features=fashion_mnist", ("are (1, 8, 8)", "inception, or metrics=like"), unlabelled),
    Wrong(f"{FOLDER} features=fashion_mnist", ("are (1, 8, 8)", "use features=classifier"), labelled),
    Wrong(
        "main data=gaussians data.classes=1 features=classifier", ("1 class;", "2 or more: use features=law")
    ),
    Wrong("main data=gaussians features=fashion_mnist", ("(1, 8, 8)", "features=law")),
    Wrong("main data=gaussians data.size=28 features=digits", ("(1, 28, 28)", "features=law")),
    Wrong("main features=fashion_mnist", ("(1, 8, 8)", "features=classifier")),
    Wrong("main features=law", ("the distribution of digits is not known", "data=gaussians")),
    Wrong("main more_features=[clip]", ("does not accept more_features", "one of metrics=several")),
    Wrong("main features=[digits,clip]", ("a run has one features", "metrics=several more_features")),
    Wrong("main metrics=several more_features=[clip]", ("CLIP's weights is null", "more_features.clip.path")),
    Wrong("main features=clip", ("path of CLIP's weights is null", "features.path=openai/")),
    Wrong("main features=dinov2 features.weights=none.pth", ("none.pth", "not a file")),
    Wrong("main features=dinov2 features.weights=w.pth", ("w.pth", "not a file of weights"), weights(b"")),
    Wrong("main features=dinov2 features.weights=.", ("features.weights", "not a file")),
    Wrong("main features=inception features.weights=none.pth", ("none.pth", "not a file")),
    Wrong(
        "main features=inception features.weights=w.pth", ("w.pth", "not a file of weights"), weights(b"junk")
    ),
    Wrong("main features=inception features.weights=.", ("features.weights", "not a file")),
    Wrong("main features=inception features.weights=w.pth seed=1", ("w.pth",), weights(b"PK\3\4 cut")),
    Wrong("main features.weights=w.pth", ("w.pth", "features=inception"), weights(b"")),
    Wrong("main features=null", ("features=null", "choose from auto, captioned")),
    Wrong("main metrics.samples=0", ("metrics.samples is 0", "or more")),
    Wrong("main metrics.samples=-1", ("metrics.samples is -1", "or more")),
    Wrong("main metrics.samples=5", ("metrics.samples is 5", "scores.is needs 20")),
    Wrong("main metrics.samples=many", ("metrics.samples is 'many'", "whole number")),
    Wrong("main metrics.likelihood_samples=-1", ("metrics.likelihood_samples is -1", "null")),
    Wrong("main metrics.batch_size=0", ("metrics.batch_size is 0", "1 or more")),
    Wrong("main scores=[fid,kidd]", ("kidd", "kid")),
    Wrong("main data=gaussians data.test=5", ("5 images", "more by data.test=20", "'scores=[fid,")),
    Wrong(
        "main features=inception features.weights=w.pth name=a",
        ("differs from", "give weights-"),
        other_tensors,
    ),
    Wrong("main features=inception features.weights=w.pth name=b", ("not a file of weights",), other_objects),
    Wrong("main features=dinov2 features.weights=w.pth name=a", ("differs from", "vits14"), other_tensors),
    Wrong("main features=dinov2 features.weights=w.pth name=b", ("not a file of weights",), other_objects),
    Wrong(f"{IMAGES} --features nonsense", ("nonsense", "choose from auto", "give a file"), images),
    Wrong(f"{IMAGES} --features i.npz", ("i.npz is not a file of weights", "give weights-"), images),
    Wrong(f"{IMAGES} --metrics nonsense", ("nonsense", "choose from auto, captions"), images),
    Wrong(f"{IMAGES} --metrics none", ("i.npz", "--metrics standard"), images),
    Wrong(f"{IMAGES} --metrics likelihood", ("i.npz", "a likelihood needs a model"), images),
    Wrong(f"{IMAGES} --metrics classifier --set features.images=1", ("features.images is 1",), images),
    Wrong(f"{IMAGES} --set scores=[nonsense]", ("nonsense", "choose from"), images),
    Wrong(f"{IMAGES} --features fashion_mnist", ("(1, 8, 8)", "features=classifier"), images),
    Wrong(f"{IMAGES} --features law", ("distribution of digits is not known",), images),
    Wrong("genbench selfcheck --weights none.pth", ("none.pth", "does not exist")),
    Wrong("genbench selfcheck --weights w.pth", ("w.pth", "not a file of weights"), weights(b"")),
    Wrong("genbench selfcheck --data-root none", ("--data-root is none", "does not exist")),
    Wrong("genbench selfcheck --device tpu", ("tpu", "cpu")),
)
