"""What a model is worth: feature networks, the scores taken on them, and what it costs."""

from genbench.metrics.auto import AutoFeatures
from genbench.metrics.classifier import ClassifierFeatures
from genbench.metrics.cost import PassCounter, parameter_count, peak_memory_bytes, reset_peak_memory
from genbench.metrics.digits import DigitsFeatures
from genbench.metrics.features import FeatureExtractor, Features, FeatureSource, MissingWeights
from genbench.metrics.frechet import Moments, frechet_distance
from genbench.metrics.inception import InceptionFeatures
from genbench.metrics.likelihood import bits_per_dim
from genbench.metrics.metrics import Metrics
from genbench.metrics.protocol import metric_name
from genbench.metrics.reference import Reference, reference
from genbench.metrics.scores import FeatureScores

__all__ = [
    "AutoFeatures",
    "ClassifierFeatures",
    "DigitsFeatures",
    "FeatureExtractor",
    "FeatureScores",
    "FeatureSource",
    "Features",
    "InceptionFeatures",
    "Metrics",
    "MissingWeights",
    "Moments",
    "PassCounter",
    "Reference",
    "bits_per_dim",
    "frechet_distance",
    "metric_name",
    "parameter_count",
    "peak_memory_bytes",
    "reference",
    "reset_peak_memory",
]
