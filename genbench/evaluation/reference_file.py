"""Reference statistics of others: the moments of features in an .npz file, as a reference for FID beside the
splits of the data.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genbench.data.source import file_digest
from genbench.evaluation.npz_file import read_npz
from genbench.metrics import FID, FeatureExtractor, Metrics, Moments, Reference, Score
from genbench.metrics.scores.score import Drawn
from genbench.records.metric_kinds import KINDS

__all__ = ["ReferenceFID", "read_reference"]

SAVE = "numpy.savez(FILE, mu=mean, sigma=covariance) writes one"
ROUNDING = 1.2e-7  # of single precision, in which some tools sum
COUNT = 2**40 + 1
"""Images that moments are taken to be of where nothing says so: more than any samples, so that those have the
covariance of lower rank; covariances are multiplied and divided by a power of two, which rounds nothing."""


class ReferenceFID(Score):
    """FID to given moments of features, which alone of the scores needs no images.

    file: its name, for messages and records. sha256: of the file, whose first 8 digits stand in names as
    `ref`, so that values with another file never look equal.
    """

    key = "fid"
    kinds = (KINDS["fid"],)
    on_features = False  # the moments are those of the first network's features

    def __init__(self, file: str, sha256: str, moments: Moments) -> None:
        self.file, self.sha256, self.moments = file, sha256, moments

    def compute(self, drawn: Drawn, references: Sequence[Reference]) -> dict[str, float]:
        return FID().to_moments(drawn, self.moments, ref=self.sha256[:8])

    @property
    def record(self) -> dict[str, str]:
        """The file as a line of evaluations.jsonl states it: its name and its whole sha256."""
        return {"file": self.file, "sha256": self.sha256}

    def check(self, extractor: FeatureExtractor) -> None:
        """Raise ValueError where the moments are not of as many features as a network gives."""
        if len(self.moments.mean) != extractor.num_features:
            raise ValueError(
                f"--reference {self.file} has the moments of {len(self.moments.mean)} features, and "
                f"{extractor.protocol} gives {extractor.num_features}: choose the network that the file was "
                "made with by --features, such as inception (2048)"
            )

    def added_to(self, metrics: Metrics) -> Metrics:
        """Return metrics with this score beside their own. Raises ValueError where FID is not among them."""
        if all(score.key != self.key for score in metrics.scores):
            keys = ", ".join(score.key for score in metrics.scores) or "none"
            raise ValueError(
                f"--reference {self.file} is used by FID alone, and the scores are {keys}: add fid by "
                "--set 'scores=[fid]'"
            )
        return metrics.with_score(self)


def read_reference(file: Path) -> ReferenceFID:
    """Read the moments `mu` (d,) and `sigma` (d, d) of an .npz file, as pytorch-fid, clean-fid, EDM and
    guided-diffusion (ADM) write them; other arrays in it are not read.

    Raises ValueError where these are no mean and covariance: of other shapes or dtypes, not finite, not
    symmetric or not positive semidefinite up to rounding in single precision.
    """
    if not file.is_file():
        raise ValueError(f"--reference {file} is not a file: give an .npz file with `mu` and `sigma`; {SAVE}")
    found = read_npz(file, ("mu", "sigma"), remedy=SAVE)
    if "sigma" not in found:
        raise ValueError(f"{file} has `mu` and no `sigma`, the covariance of the features: {SAVE}")
    mean, cov = (numbers(found[name], f"{file}: {name}") for name in ("mu", "sigma"))
    shapes = f"{file}: mu has shape {list(mean.shape)} and sigma {list(cov.shape)}"
    if mean.ndim != 1 or len(mean) == 0 or cov.shape != (len(mean), len(mean)):
        raise ValueError(f"{shapes}; they must be [d] and [d, d], of d features: {SAVE}")
    check_covariance(cov, f"{file}: sigma")
    return ReferenceFID(file.name, file_digest(file), Moments.given(COUNT, mean, cov * (COUNT - 1)))


def numbers(array: np.ndarray, where: str) -> Tensor:
    """Return real numbers in float64. Raises ValueError, which begins with `where`, on all else, and on those
    that are not finite.
    """
    if array.dtype.kind != "f":
        raise ValueError(f"{where} has dtype {array.dtype}; it must be a float: {SAVE}")
    if broken := int((~np.isfinite(array)).sum()):
        raise ValueError(f"{where} has {broken:,} numbers that are not finite: compute the statistics again")
    return torch.from_numpy(array.astype(np.float64))


def check_covariance(cov: Tensor, where: str) -> None:
    """Raise ValueError where a matrix (d, d) is no covariance up to rounding: symmetric, and without negative
    eigenvalues. where: its place, with which messages begin.
    """
    allowed = len(cov) * ROUNDING
    largest = float(cov.abs().max())
    if float((cov - cov.T).abs().max()) > allowed * largest:
        raise ValueError(f"{where} is not symmetric, so it is no covariance: compute the statistics again")
    values = torch.linalg.eigvalsh(cov)
    if float(values[0]) < -allowed * largest:
        raise ValueError(
            f"{where} has the eigenvalue {float(values[0]):.3g}, and a covariance has none below 0: compute "
            "the statistics again"
        )
