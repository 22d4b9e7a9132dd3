"""Evaluation metrics: features, scores, reference statistics, likelihood in bits, cost.

Knows images, features and files of references; neither models of a family nor the training that made them.
"""

from genbench.metrics.bits import bits_per_dim
from genbench.metrics.cost import PassCounter, parameter_count, peak_memory_bytes, reset_peak_memory
from genbench.metrics.feature_pass import Taken, collect, compute, score_images, take
from genbench.metrics.features.auto import AutoFeatures
from genbench.metrics.features.classifier import ClassifierFeatures
from genbench.metrics.features.clip import CLIPFeatures
from genbench.metrics.features.dinov2 import DINOv2Features
from genbench.metrics.features.extractor import (
    FeatureExtractor,
    Features,
    FeatureSource,
    MissingWeights,
    Pilot,
)
from genbench.metrics.features.inception import InceptionFeatures, InceptionSpatialFeatures
from genbench.metrics.features.known_distribution import LawFeatures
from genbench.metrics.features.scene_reader import CaptionedFashionMnistFeatures, CaptionedFeatures
from genbench.metrics.features.shipped import DigitsFeatures, FashionMnistFeatures
from genbench.metrics.metrics import STANDARD, Metrics
from genbench.metrics.reference import Reference, reference, reference_path
from genbench.metrics.scores.authenticity import Authenticity, nearest_features
from genbench.metrics.scores.caption_accuracy import CaptionAccuracy
from genbench.metrics.scores.classification_accuracy import ClassificationAccuracy
from genbench.metrics.scores.clip_score import CLIPScore
from genbench.metrics.scores.cmmd import CMMD
from genbench.metrics.scores.fd_exact import ExactFD
from genbench.metrics.scores.fid import FID
from genbench.metrics.scores.fid_class import ClassFID
from genbench.metrics.scores.fid_gap import FIDGap
from genbench.metrics.scores.fid_infinity import FIDInfinity
from genbench.metrics.scores.fld import FLD
from genbench.metrics.scores.frechet import Moments, frechet_distance
from genbench.metrics.scores.inception_score import InceptionScore
from genbench.metrics.scores.kid import KID
from genbench.metrics.scores.modes import Modes
from genbench.metrics.scores.nearest import NearestImage, nearest_images
from genbench.metrics.scores.precision_recall import Manifold
from genbench.metrics.scores.score import Drawn, Score
from genbench.metrics.scores.sharpness import Sharpness, laplacian_energies
from genbench.metrics.scores.sliced import SlicedWasserstein
from genbench.metrics.scores.vendi import Vendi

__all__ = [
    "CMMD",
    "FID",
    "FLD",
    "KID",
    "STANDARD",
    "Authenticity",
    "AutoFeatures",
    "CLIPFeatures",
    "CLIPScore",
    "CaptionAccuracy",
    "CaptionedFashionMnistFeatures",
    "CaptionedFeatures",
    "ClassFID",
    "ClassificationAccuracy",
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
    "InceptionSpatialFeatures",
    "LawFeatures",
    "Manifold",
    "Metrics",
    "MissingWeights",
    "Modes",
    "Moments",
    "NearestImage",
    "PassCounter",
    "Pilot",
    "Reference",
    "Score",
    "Sharpness",
    "SlicedWasserstein",
    "Taken",
    "Vendi",
    "bits_per_dim",
    "collect",
    "compute",
    "frechet_distance",
    "laplacian_energies",
    "nearest_features",
    "nearest_images",
    "parameter_count",
    "peak_memory_bytes",
    "reference",
    "reference_path",
    "reset_peak_memory",
    "score_images",
    "take",
]
