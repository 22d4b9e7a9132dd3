"""Classification accuracy score: how well a classifier that learned from samples alone knows real images."""

from collections.abc import Sequence

from genbench.data import ImageData, ImageSource, Split
from genbench.metrics.features import cnn
from genbench.metrics.reference import Reference, subset
from genbench.metrics.scores.score import Drawn, Score, of_split
from genbench.records.metric_kinds import KINDS
from genbench.runtime.progress import Progress

__all__ = ["ClassificationAccuracy", "accuracy_after"]

SMALLEST_SIDE = 4  # of images that the classifier takes: two poolings halve it, and the third needs a pixel
SEED = 0  # of the classifiers: part of the protocol


class ClassificationAccuracy(Score):
    """Accuracy on test images of a classifier trained on at most 10,000 labelled samples, and of one trained
    on as many training images.

    cas: of samples, by the classes that they were asked for; a conditional model that draws the wrong class,
    or few images of it, scores low. cas_real: of real ones, what a perfect model would get; to memorise the
    training images is enough for it. Both classifiers are `SmallCNN`, from the same weights, on the CPU.
    There is no interval: another training and other samples move it, which one training does not tell.
    images: how many each classifier sees, repeated ones counted anew. No values for samples without classes,
    and for images below 4 pixels a side. Raises ValueError on fewer images than one batch.
    Source: Ravuri & Vinyals 2019, whose classifier is a ResNet-50.
    """

    key = "cas"
    kinds = (KINDS["cas"], KINDS["cas_real"])
    on_features = False
    by_validation = False

    def __init__(self, images: int = 20_000) -> None:
        if not cnn.BATCH <= images <= 10_000_000:
            raise ValueError(
                f"scores.cas.images is {images}; it must be from {cnn.BATCH} (one batch) to 10,000,000"
            )
        self.images = images

    def lacks(self, source: ImageSource, *, conditional: bool) -> str | None:
        return None if conditional else "labels of its samples, which conditional=true gives"

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        train, test = (of_split(references, split) for split in ("train", "test"))
        if drawn.classes is None or train is None or test is None or train.images.labels is None:
            return {}
        if min(drawn.images.shape[-2:]) < SMALLEST_SIDE:
            return {}
        n = min(len(drawn.images), len(train.images))
        fake = Split(subset(drawn.images, n), subset(drawn.classes, n))
        real = Split(subset(train.images.images, n), subset(train.images.labels, n))
        found: dict[str, float] = {}
        for kind, split in {"cas": fake, "cas_real": real}.items():
            # Always of the test images, so that the name needs no reference.
            name = drawn.name(kind, ref=None, part=(f"seen={self.images}",), n=n, protocol="pixels")
            found |= drawn.scored(name, accuracy_after(split, test.images, images_seen=self.images))
        return found


def accuracy_after(train: Split, test: Split, *, images_seen: int) -> float:
    """Train a classifier on a labelled split, and return the share of the images of another whose class it
    finds. images_seen: the length of the training, repeated images counted anew.
    """
    assert train.labels is not None
    assert test.labels is not None
    classes = 1 + int(max(train.labels.max(), test.labels.max()))
    channels, height, width = train.images.shape[1:]
    shape = (channels, height, width)
    names = tuple(map(str, range(classes)))
    # Not mirrored: whether the classes bear it, images and labels do not tell.
    data = ImageData("samples", train, test, names, classes, False, "", shape)
    network = cnn.fit(data, images=images_seen, seed=SEED, progress=Progress(None))
    return cnn.accuracy(network.eval(), test)
