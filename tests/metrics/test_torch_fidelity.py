"""The whole way from bytes to scores, against torch-fidelity's own command on the same images and weights."""

from pathlib import Path

import pytest
import torch
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

from genbench.data import Split
from genbench.metrics import FID, KID, Moments, Reference, score_images
from genbench.metrics.features.inception import InceptionExtractor, empty_network, read_state
from genbench.metrics.scores.inception_score import inception_score

N = 24


class Bytes(Dataset[Tensor]):
    """Images as torch-fidelity takes them: three channels, uint8."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32), (3, 64)])
def test_fid_kid_and_inception_score_equal_those_of_its_command(
    channels: int, side: int, inception_weights: Path
) -> None:
    """With no chance left: one subset, one split, all images. Its features are float32, its batches of 4."""
    rng = torch.Generator().manual_seed(side)
    shape = (N, channels, side, side)
    fake, real = (torch.randint(top, shape, dtype=torch.uint8, generator=rng) for top in (256, 128))
    theirs = torch_fidelity.calculate_metrics(
        input1=Bytes(fake),
        input2=Bytes(real),
        fid=True,
        kid=True,
        isc=True,
        kid_subsets=1,
        kid_subset_size=N,
        isc_splits=1,
        feature_extractor_weights_path=str(inception_weights),
        batch_size=4,
        cuda=False,
        cache=False,
        verbose=False,
    )
    network = empty_network()
    network.load_state_dict(read_state(inception_weights), assign=True)
    extractor = InceptionExtractor(network, "0" * 64, channels).eval()
    moments, features = Moments(2048), extractor(real).features
    moments.update(features)
    ours = score_images(
        ((part, None) for part in fake.split(4)),
        N,
        scores=[FID(), KID(subsets=1, subset_size=N)],
        extractor=extractor,
        references=[Reference("train", extractor.protocol, moments, features, Split(real, None))],
        of="given",
        seed=0,
    )
    found = {name.partition("[")[0]: value for name, value in ours.items()}
    scale = theirs["frechet_inception_distance"]
    assert found["fid"] == pytest.approx(scale, abs=1e-6 * max(scale, 1))
    kid = theirs["kernel_inception_distance_mean"]
    # Its kernel's N^2 terms of the order of 1 are summed in float32: its values come in steps of 2^-17. That
    # the estimates themselves agree in float64 is what `genbench selfcheck` holds.
    assert found["kid"] == pytest.approx(kid, abs=4 * 2**-17)
    logits = torch.cat([extractor(part).logits for part in fake.split(4)])
    score, _ = inception_score(logits, splits=1, seed=0)
    assert score == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
