"""Wrong feature networks and scores: their settings, files and data that they do not fit."""

from pathlib import Path

from tests.wrong_inputs import Wrong


def weights(content: bytes) -> "object":
    """Give a command a file of weights with some content."""

    def given(folder: Path) -> None:
        (folder / "w.pth").write_bytes(content)

    return given


def unlabelled(folder: Path) -> None:
    """Give a command images without classes."""
    from PIL import Image

    (folder / "d").mkdir()
    for number in range(12):
        Image.new("L", (8, 8), 20 * number).save(folder / "d" / f"{number}.png")


FOLDER = "main data=image_folder data.root=d data.size=8 data.channels=1"
ROWS = (
    Wrong("main features=nonsense", ("nonsense", "choose from", "classifier")),
    Wrong("main metrics=nonsense", ("nonsense", "choose from", "standard")),
    Wrong("main scores=[nonsense]", ("nonsense", "choose from", "fid")),
    Wrong("main metrics=classifier features.images=0", ("images is 0", "64")),
    Wrong("main metrics=classifier features.images=-64", ("images is -64", "64")),
    Wrong("main metrics=classifier features.images=63", ("images is 63", "64")),
    Wrong("main metrics=classifier features.images=many", ("many",)),
    Wrong("main metrics=classifier features.images=1.5", ("1.5",)),
    Wrong("main metrics=classifier features.images=true", ("true",)),
    Wrong("main metrics=classifier features.images=null", ("images",)),
    Wrong("main metrics=classifier features.images=nan", ("nan",)),
    Wrong("main metrics=classifier features.images=[64]", ("images",)),
    Wrong("main metrics=classifier features.seed=-1", ("seed is -1", "0 or more")),
    Wrong("main metrics=classifier features.seed=x", ("x",)),
    Wrong("main metrics=classifier features.seed=1.5", ("1.5",)),
    Wrong("main metrics=classifier features.weights=w.pth", ("features.weights",)),
    Wrong("main metrics=classifier features.image=64", ("features.image", "images")),
    Wrong(f"{FOLDER} metrics=classifier", ("0 classes", "add labels", "features=inception"), unlabelled),
    Wrong(f"{FOLDER} features=classifier", ("0 classes", "add labels", "features=inception"), unlabelled),
    Wrong("main data=gaussians data.classes=1 features=classifier", ("1 classes", "2 or more")),
    Wrong("main data=gaussians features=fashion_mnist", ("(1, 8, 8)", "features=classifier")),
    Wrong("main data=gaussians data.size=28 features=digits", ("(1, 28, 28)", "features=classifier")),
    Wrong("main features=fashion_mnist", ("(1, 8, 8)", "features=classifier")),
    Wrong("main features=law", ("the distribution of digits is not known", "data=gaussians")),
    Wrong("main features=dinov2", ("features.weights is null", "dinov2_vits14_pretrain.pth")),
    Wrong("main features=dinov2 features.weights=none.pth", ("none.pth", "no file")),
    Wrong("main features=dinov2 features.weights=w.pth", ("w.pth", "no file of weights"), weights(b"")),
    Wrong("main features=dinov2 features.weights=.", ("features.weights", "no file")),
    Wrong("main features=inception features.weights=none.pth", ("none.pth", "no file")),
    Wrong(
        "main features=inception features.weights=w.pth", ("w.pth", "no file of weights"), weights(b"junk")
    ),
    Wrong("main features=inception features.weights=.", ("features.weights", "no file")),
    Wrong("main features=inception features.weights=w.pth seed=1", ("w.pth",), weights(b"PK\3\4 cut")),
    Wrong("main features.weights=w.pth", ("w.pth", "features=inception"), weights(b"")),
    Wrong("main features=null", ("features",)),
    Wrong("main metrics.samples=0", ("metrics.samples is 0", "or more")),
    Wrong("main metrics.samples=-1", ("metrics.samples is -1", "or more")),
    Wrong("main metrics.samples=5", ("metrics.samples is 5", "scores.is needs 20")),
    Wrong("main metrics.samples=many", ("many",)),
    Wrong("main metrics.likelihood_samples=-1", ("metrics.likelihood_samples is -1", "null")),
    Wrong("main metrics.batch_size=0", ("metrics.batch_size is 0", "1 or more")),
    Wrong("main scores=fid", ("scores", "[fid]")),
    Wrong("main scores=[fid,fid]", ("fid",)),
    Wrong("main scores=[fid,kidd]", ("kidd", "kid")),
    Wrong("main data=gaussians data.test=5", ("5 images", "add images")),
)
