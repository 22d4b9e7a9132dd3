"""Old paths of classes that have moved: recorded configurations and identities are made of these."""

from collections.abc import Mapping
from typing import Any

from genbench.records.flatten import VALUES

__all__ = ["MOVED", "with_current_paths", "with_first_paths"]

MOVED: dict[str, str] = {
    "genbench.budget.Budget": "genbench.training.budget.Budget",
    "genbench.diffusion.binomial.Binomial": "genbench.diffusion.binomial.BinomialDiffusion",
    "genbench.diffusion.binomial.Erasure": "genbench.diffusion.binomial.ErasureSchedule",
    "genbench.diffusion.flow_matching.Independent": "genbench.diffusion.pairing.Independent",
    "genbench.diffusion.flow_matching.LogitNormal": "genbench.diffusion.path_times.LogitNormal",
    "genbench.diffusion.flow_matching.OptimalTransport": "genbench.diffusion.pairing.OptimalTransport",
    "genbench.diffusion.flow_matching.Uniform": "genbench.diffusion.path_times.StratifiedPathTimes",
    "genbench.diffusion.gaussian.Gaussian": "genbench.diffusion.gaussian.GaussianDiffusion",
    "genbench.diffusion.learned_schedule.Learned": "genbench.diffusion.learned_schedule.LearnedSchedule",
    "genbench.diffusion.parameterization.EDM": "genbench.diffusion.parameterization.EDMPreconditioning",
    "genbench.diffusion.schedule.Cosine": "genbench.diffusion.schedule.CosineSchedule",
    "genbench.diffusion.schedule.EDM": "genbench.diffusion.schedule.EDMSchedule",
    "genbench.diffusion.schedule.Geometric": "genbench.diffusion.schedule.GeometricSchedule",
    "genbench.diffusion.schedule.Linear": "genbench.diffusion.schedule.LinearSchedule",
    "genbench.diffusion.schedule.Sigmoid": "genbench.diffusion.schedule.SigmoidSchedule",
    "genbench.diffusion.schedule.ZeroTerminal": "genbench.diffusion.schedule.ZeroTerminalSchedule",
    "genbench.diffusion.solvers.DPMSolver": "genbench.diffusion.fast_samplers.DPMSolver",
    "genbench.diffusion.solvers.DPMSolverSDE": "genbench.diffusion.fast_samplers.DPMSolverSDE",
    "genbench.diffusion.solvers.Heun": "genbench.diffusion.fast_samplers.HeunSampler",
    "genbench.diffusion.solvers.UniPC": "genbench.diffusion.fast_samplers.UniPC",
    "genbench.diffusion.spacing.Uniform": "genbench.diffusion.spacing.UniformSpacing",
    "genbench.diffusion.times.Uniform": "genbench.diffusion.times.UniformTimes",
    "genbench.diffusion.variance.Learned": "genbench.diffusion.variance.LearnedVariance",
    "genbench.diffusion.weighting.Plain": "genbench.diffusion.weighting.Unweighted",
    "genbench.families.ddpm.Denoising": "genbench.families.diffusion.Denoising",
    "genbench.families.ddpm.Diffusion": "genbench.families.diffusion.Diffusion",
    "genbench.flows.base.Normal": "genbench.flows.base_distribution.StandardNormal",
    "genbench.flows.base.Student": "genbench.flows.base_distribution.StudentT",
    "genbench.flows.dequantization.Uniform": "genbench.flows.dequantization.UniformDequantization",
    "genbench.flows.dequantization.Variational": "genbench.flows.dequantization.VariationalDequantization",
    "genbench.flows.mixture.Mixture": "genbench.flows.mixture.MixtureCdf",
    "genbench.lr_schedule.Constant": "genbench.training.lr_schedule.Constant",
    "genbench.lr_schedule.Cosine": "genbench.training.lr_schedule.Cosine",
    "genbench.lr_schedule.Linear": "genbench.training.lr_schedule.Linear",
    "genbench.nn.maps.MapLayer": "genbench.nn.latent_map.MapLayer",
    "genbench.precision.AutoPrecision": "genbench.runtime.precision.AutoPrecision",
    "genbench.precision.BFloat16": "genbench.runtime.precision.BFloat16",
    "genbench.precision.Float32": "genbench.runtime.precision.Float32",
    "genbench.train.Trainer": "genbench.training.loop.Trainer",
}
"""The path of a class when the first runs recorded it -> its path now."""
FIRST = {now: first for first, now in MOVED.items()}


def with_current_paths(node: Any) -> Any:  # noqa: ANN401
    """Return a recorded configuration with the current path of each class that has moved since.

    node: dicts, lists and values, as JSON or YAML hold them; only the values of `_target_` are changed.
    """
    return renamed(node, MOVED)


def with_first_paths(node: Any) -> Any:  # noqa: ANN401
    """Return a configuration with the first path that each class ever had, so that a move changes no
    identity.

    The inverse of `with_current_paths`; classes that never moved are unchanged.
    """
    return renamed(node, FIRST)


def renamed(node: Any, paths: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return plain data in which each `_target_` that is a key of `paths` has its value instead."""
    if type(node) in VALUES:
        return node
    if isinstance(node, list):
        return [renamed(child, paths) for child in node]
    if not isinstance(node, Mapping):
        return node
    found = {key: x if type(x) in VALUES else renamed(x, paths) for key, x in node.items()}
    if isinstance(target := found.get("_target_"), str):
        found["_target_"] = paths.get(target, target)
    return found
