"""What is measured, on which features."""

from genbench.data import ImageData
from genbench.metrics.features import FeatureSource

__all__ = ["Metrics"]


class Metrics:
    """The settings of an evaluation.

    samples: how many images are drawn, None for as many as the test split has.
    likelihood_samples: how many test images likelihood and reconstruction are measured on, None for all.
    splits: of the Inception score.
    kid_subsets, kid_subset_size: of KID; a subset is at most as large as the sets.
    Raises ValueError on settings that no score can be taken under.
    """

    def __init__(
        self,
        features: FeatureSource,
        *,
        samples: int | None = None,
        likelihood_samples: int | None = None,
        batch_size: int = 256,
        splits: int = 10,
        kid_subsets: int = 100,
        kid_subset_size: int = 1000,
    ) -> None:
        smallest = 2 * splits
        if splits < 2:
            raise ValueError(f"metrics.splits is {splits}; the spread of the Inception score needs 2 or more")
        if samples is not None and samples < smallest:
            raise ValueError(
                f"metrics.samples is {samples}; legal are {smallest} and above (two for each split "
                "of the Inception score), or null for as many as the test split has"
            )
        if likelihood_samples is not None and likelihood_samples < 1:
            raise ValueError(
                f"metrics.likelihood_samples is {likelihood_samples}; legal are 1 and above, or null for all"
            )
        if batch_size < 1:
            raise ValueError(f"metrics.batch_size is {batch_size}; legal are 1 and above")
        if kid_subsets < 1 or kid_subset_size < 2:
            raise ValueError(
                f"metrics.kid_subsets is {kid_subsets} and kid_subset_size {kid_subset_size}; "
                "legal are 1 and above, 2 and above"
            )
        self.features = features
        self.samples = samples
        self.likelihood_samples = likelihood_samples
        self.batch_size = batch_size
        self.splits = splits
        self.kid_subsets = kid_subsets
        self.kid_subset_size = kid_subset_size

    def check_data(self, data: ImageData) -> None:
        """Raise ValueError where the held-out images are too few to be scored beside the samples."""
        smallest = 2 * self.splits
        if len(data.test) < smallest:
            raise ValueError(
                f"the test split of {data.name} has {len(data.test)} images; scores need {smallest} or more "
                f"(two for each of metrics.splits={self.splits}): add images, or lower metrics.splits"
            )
