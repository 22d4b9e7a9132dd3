"""Model cards: the README.md of an exported model, with the metadata that the Hub of Hugging Face reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from genbench.records.metric_kinds import KINDS
from genbench.records.metric_name import MetricName
from genbench.records.result import Result
from genbench.records.titles import UNCONDITIONAL, conditioning, data_name, run_title
from genbench.records.units import device_words
from genbench.report.formats.markdown import escape, grid
from genbench.report.formats.one_result import entry
from genbench.report.numbers import written

__all__ = ["model_card"]

TEXT = """\
# {title}

A generative image model, trained and evaluated by genbench. {about}

![64 images of this model, drawn with seed 0](samples.png)
{animation}
{prompts}```python
import genbench

genbench.load("PATH_OF_THIS_FOLDER").sample({arguments}).save_grid("grid.png")
```

{measured}
Training: {training}. Made by {made}.
`genbench.json` holds the whole configuration, `model.safetensors` the weights.
"""
ANIMATION = "\n![Samples of this model coming out of noise](animation.webp)\n"
COMPARABLE = (
    "Only metrics of the same protocol can be compared. [low, high] is the 95 % interval over samples, which "
    "does not include how much trainings with other seeds vary."
)


def model_card(
    result: Result,
    *,
    weights: str,
    made: str,
    license_name: str | None,
    prompts: Sequence[str] = (),
    is_animated: bool = False,
) -> str:
    """Return the model card of a trained model as Markdown, which begins with its metadata as YAML.

    result: of the run; an unfinished one has no metrics. weights: "ema", "best" or "raw", whose metrics are
    shown, with the likelihood of the averaged weights, or of the best ones.
    prompts: the texts of the rows of its grid, of a model of text.
    made: versions and commit. license_name: as the Hub writes it, such as "mit"; None states none.
    is_animated: True where animation.webp lies beside the card, which then shows it.
    """
    found = {
        name: value for name, value in result.metrics.items() if shown(name, weights) and value is not None
    }
    family, data, given = map(escape, subject(result))
    rows = [
        [
            escape(title(name)),
            entry(result.metrics, MetricName.parse(name), "", with_interval=True),
            escape(name),
        ]
        for name in found
    ]
    likelihood = result.best_likelihood if weights == "best" else result.likelihood
    if (bits := likelihood.bits_per_dim) is not None:
        kind = f"{likelihood.bound}, {likelihood.method}"
        rows.append(["bits/dim", written(bits), escape(f"{kind}, n={likelihood.n}")])
    table = grid(["metric", "value", "protocol"], rows, [False, True, False])
    device = escape(device_words(result.cost.device or "an unknown device"))
    card = TEXT.format(
        title=run_title(family, data, given),
        about=f"Family: {family}; data: {data}, {given}; weights: {weights}{chosen(result, weights)}.",
        animation=ANIMATION if is_animated else "",
        prompts=shown_prompts(prompts),
        arguments=", ".join(["64", *([f"prompts=[{literal(prompts[0])}]"] if prompts else []), "seed=0"]),
        measured=f"{table}\n{COMPARABLE}\n" if rows else "It was not evaluated.\n",
        training=f"{result.cost.images_seen or 0:,} images on {device}",
        made=escape(made),
    )
    head = yaml.safe_dump(metadata(result, found, license_name), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{card}"


def shown_prompts(prompts: Sequence[str]) -> str:
    """Return a table of the prompts of a grid, by its rows; an empty text where there are none."""
    if not prompts:
        return ""
    rows = [[str(number), escape(text) or "(no text)"] for number, text in enumerate(prompts, 1)]
    return f"{grid(['row', 'prompt'], rows, [True, False])}\n"


def literal(text: str) -> str:
    """Return a text as a literal of Python that stays in its line and in a fence of Markdown."""
    return ascii(text).replace("`", "\\x60")


def chosen(result: Result, weights: str) -> str:
    """Return in words how the weights of a model card were selected, where they are the best of a validation,
    so that no reader takes their scores for those of a last checkpoint.
    """
    if weights != "best":
        return ""
    by, seen = (result.best.by or "loss").replace("_", " "), result.best.images_seen
    at = "" if seen is None else f", at {seen:,} images"
    return f" (the best on the validation split by {escape(by)}{at}: a selection)"


def metadata(result: Result, found: Mapping[str, float], license_name: str | None) -> dict[str, Any]:
    """Return the metadata of a model card: library, tags, and each metric with its full name.
    Source: the Hub's model card specification (modelcard.md), keys `library_name`, `tags` and `model-index`.
    """
    family, data, given = subject(result)
    task = UNCONDITIONAL if given == UNCONDITIONAL else given.partition(" (")[0].replace(" ", "-")
    task = "text-to-image" if "text prompts" in given else f"{task}-image-generation"
    metrics = [{"type": title(name), "name": name, "value": float(value)} for name, value in found.items()]
    kind = result.choices.get("data", "unknown")
    entry = {"task": {"type": task}, "dataset": {"type": kind, "name": data}, "metrics": metrics}
    index = [{"name": run_title(family, data, given), "results": [entry]}]
    return {
        **({} if license_name is None else {"license": license_name}),
        "library_name": "genbench",
        # The Hub has no task of this kind for images of classes, and such a model is not unconditional.
        **({"pipeline_tag": task} if given == UNCONDITIONAL or task == "text-to-image" else {}),
        "tags": ["genbench", family, *([] if given == UNCONDITIONAL else [task])],
        **({"model-index": index} if metrics else {}),
    }


def subject(result: Result) -> tuple[str, str, str]:
    """Return the family of a model, the name of its images, and what its samples are conditioned on."""
    data = data_name(result.choices, result.config)
    given = conditioning(result.choices, result.config)
    return result.choices.get("model", "unknown"), data or "unknown", given or UNCONDITIONAL


def shown(name: str, weights: str) -> bool:
    """Return True for a metric of these weights that stands in tables, without the ends of its interval."""
    metric = MetricName.parse(name)
    return metric.of == weights and metric.kind in KINDS


def title(name: str) -> str:
    """Return the title of a metric, as tables have it: FID."""
    kind = MetricName.parse(name).kind
    return KINDS[kind].title if kind in KINDS else kind
