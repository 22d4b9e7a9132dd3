"""The wandb workspace that compares families; built without a network or a login."""

import json
from collections.abc import Sequence

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import PanelTypes

from genbench.tracking.wandb import TABLE

__all__ = ["specification", "workspace"]

MEASURES = ("fid", "kid", "is")
AXES = {"images_seen": "images seen", "training_seconds": "seconds"}
COSTS = ("passes_per_sample", "seconds_per_image", "training_flops", "parameters")
LIKELIHOODS = {
    "bits_per_dim_exact": "bits per dimension, exact",
    "bits_per_dim_lower": "bits per dimension, at most (from a lower bound on the likelihood)",
    "bits_per_dim_estimate": "bits per dimension, estimated",
}
PICTURES = ("samples", "trajectory", "animation", "reconstructions", "codes", "interpolation", "neighbours")
COLUMNS = ("family", "protocol", *MEASURES, "bits_per_dim", "bound", *AXES)
VALIDATED = "^validation/([a-z_]+/)*loss$"
FAMILY = wr.Config("family")
LEGEND = "${config:family} ${run:displayName}"


def workspace(project: str, entity: str, *, data: str | None = None) -> ws.Workspace:
    """Build a workspace: distance and score against cost, likelihoods, samples, losses; nothing is sent.

    data: only runs on this data set, since distances on different sets do not compare; None: all runs.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name="families" if data is None else f"families on {data}",
        sections=sections(),
        settings=ws.WorkspaceSettings(x_axis="images_seen", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=[] if data is None else [expr.Metric("JobType") == data],
            pinned_columns=[f"summary:{column}" for column in COLUMNS],
        ),
    )


def specification(made: ws.Workspace) -> str:
    """Return the JSON that saving a workspace would send; the ids of its panels are random each time."""
    view = made._to_model()  # the library's public method needs a login
    return json.dumps(view.model_dump(by_alias=True, exclude_none=True), indent=2)


def sections() -> list[ws.Section]:
    """List the sections of the workspace, from top to bottom."""
    spent = [
        section(
            f"Distance and score against {title}",
            [draw(axis, key) for draw in (results, curve) for key in MEASURES],
        )
        for axis, title in AXES.items()
    ]
    return [
        *spent,
        section("Pareto: distance against cost", [frontier(cost, "fid") for cost in COSTS]),
        section("Likelihood", [bars(key, title) for key, title in LIKELIHOODS.items()]),
        section("Validation, and the weights that it chose", validations()),
        section("Samples by family", [wr.WeavePanelSummaryTable(table_name=TABLE), *map(gallery, PICTURES)]),
        section("Losses, which do not compare between families", [losses(axis) for axis in AXES]),
    ]


def section(name: str, panels: Sequence[PanelTypes]) -> ws.Section:
    """An open section, three panels in a row."""
    return ws.Section(name=name, panels=list(panels), is_open=True)


def results(axis: str, key: str) -> wr.ScatterPlot:
    """Plot the results of runs, a dot each: a metric against a cost on a logarithmic axis."""
    return wr.ScatterPlot(
        title=f"{key} by {axis}",
        x=wr.SummaryMetric(axis),
        y=wr.SummaryMetric(key),
        log_x=True,
        legend_template=LEGEND,
    )


def frontier(cost: str, key: str) -> wr.ScatterPlot:
    """Plot the results of runs, a dot each, and the Pareto front: the least of `key` at up to each cost."""
    plot = results(cost, key)
    plot.running_ymin = True
    return plot


def curve(axis: str, key: str) -> wr.LinePlot:
    """Plot evaluations during training, where there are some: a line a family, the mean of its runs."""
    return wr.LinePlot(
        title=f"training/{key} by {axis}",
        x=axis,
        y=[f"training/{key}"],
        groupby=FAMILY,
        groupby_aggfunc="mean",
    )


def validations() -> list[PanelTypes]:
    """Plot the losses, bits and distance on validation images over a training, and the distance of the
    weights that were chosen by them against the images seen by then, a dot a run.
    """
    loss = losses("images_seen", VALIDATED)
    lines = [
        wr.LinePlot(title=f"{name} by images_seen", x="images_seen", y=[name], legend_template=LEGEND)
        for name in ("validation/bits_per_dim", "validation/fid")
    ]
    return [loss, *lines, results("best_images_seen", "best_fid")]


def bars(key: str, title: str) -> wr.BarPlot:
    """Plot a bar for each family: the mean of its runs, with their minimum and maximum."""
    return wr.BarPlot(
        title=title, metrics=[key], groupby=FAMILY, groupby_aggfunc="mean", groupby_rangefunc="minmax"
    )


def gallery(name: str) -> wr.MediaBrowser:
    """Show the pictures of one name, such as "samples", run beside run."""
    return wr.MediaBrowser(title=name, media_keys=[name])


def losses(axis: str, named: str = "^([a-z_]+/)+loss$") -> wr.LinePlot:
    """Plot the losses of every run whose names match a regular expression: of each phase of the training, and
    of the validation images beside it.
    """
    title = f"{'validation ' * (named == VALIDATED)}loss by {axis}"
    return wr.LinePlot(title=title, x=axis, metric_regex=named, legend_template=LEGEND)
