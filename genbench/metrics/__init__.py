"""What a model is worth: feature networks, the scores taken on them, and what it costs."""

from genbench.metrics.authenticity import Authenticity, nearest_features
from genbench.metrics.auto import AutoFeatures
from genbench.metrics.classifier import ClassifierFeatures
from genbench.metrics.collecting import Taken, collect, compute, score_images, take
from genbench.metrics.cost import PassCounter, parameter_count, peak_memory_bytes, reset_peak_memory
from genbench.metrics.dinov2 import DINOv2Features
from genbench.metrics.fd_exact import ExactFD
from genbench.metrics.features import FeatureExtractor, Features, FeatureSource, MissingWeights
from genbench.metrics.fid import FID
from genbench.metrics.fid_class import ClassFID
from genbench.metrics.fid_gap import FIDGap
from genbench.metrics.fid_infinity import FIDInfinity
from genbench.metrics.frechet import Moments, frechet_distance
from genbench.metrics.inception import InceptionFeatures
from genbench.metrics.inception_score import InceptionScore
from genbench.metrics.kid import KID
from genbench.metrics.law import LawFeatures
from genbench.metrics.likelihood import bits_per_dim
from genbench.metrics.manifold import Manifold
from genbench.metrics.metrics import STANDARD, Metrics
from genbench.metrics.modes import Modes
from genbench.metrics.nearest import NearestImage, nearest_images
from genbench.metrics.protocol import metric_name
from genbench.metrics.reference import Reference, reference
from genbench.metrics.score import Drawn, Score
from genbench.metrics.shipped import DigitsFeatures, FashionMnistFeatures
from genbench.metrics.sliced import SlicedWasserstein

__all__ = [
    "FID",
    "KID",
    "STANDARD",
    "Authenticity",
    "AutoFeatures",
    "ClassFID",
    "ClassifierFeatures",
    "DINOv2Features",
    "DigitsFeatures",
    "Drawn",
    "ExactFD",
    "FIDGap",
    "FIDInfinity",
    "FashionMnistFeatures",
    "FeatureExtractor",
    "FeatureSource",
    "Features",
    "InceptionFeatures",
    "InceptionScore",
    "LawFeatures",
    "Manifold",
    "Metrics",
    "MissingWeights",
    "Modes",
    "Moments",
    "NearestImage",
    "PassCounter",
    "Reference",
    "Score",
    "SlicedWasserstein",
    "Taken",
    "bits_per_dim",
    "collect",
    "compute",
    "frechet_distance",
    "metric_name",
    "nearest_features",
    "nearest_images",
    "parameter_count",
    "peak_memory_bytes",
    "reference",
    "reset_peak_memory",
    "score_images",
    "take",
]
