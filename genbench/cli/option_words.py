"""Names that other tools give to options of verbs, and what the options are called here."""

from collections.abc import Sequence

__all__ = ["OPTION_WORDS", "option_meant"]

ROWS: tuple[tuple[str, *tuple[str, ...]], ...] = (
    ("--num-samples --n-samples --samples --num --count --num-images --n-images --number -n", "--n"),
    ("--output --output-dir --out-dir --outdir --save-dir --dest -o", "--out"),
    (
        "--num-steps --sampling-steps --sampler-steps --num-inference-steps --timesteps --nfe",
        "--steps",
    ),
    ("--cfg --cfg-scale --guidance --guidance-scale -w", "--scales", "--set"),
    ("--method --sampling-method --scheduler", "--sampler", "--samplers"),
    ("--class --class-label --labels --y", "--label"),
    ("--text --caption --positive-prompt", "--prompt"),
    ("--prompt-file --prompts-file --from-file --captions", "--prompts"),
    ("--bs --batch", "--batch-size"),
    ("--gpu --cuda", "--device"),
    ("--ema --raw --use-ema", "--weights"),
    ("--random-seed", "--seed"),
    ("--real --ref --reference-images", "--reference", "--stats"),
    ("--order --order-by", "--sort"),
    ("--where --select --query", "--filter"),
)
"""Names elsewhere, and the names here, of which a verb has one or none."""

OPTION_WORDS = {word: tuple(meant) for words, *meant in ROWS for word in words.split()}


def option_meant(name: str, known: Sequence[str]) -> str | None:
    """Return the option of a verb that a name from elsewhere means, None where it has no such option.
    name: as typed, --num_samples or --num-samples; known: the options of the verb.
    """
    meant = OPTION_WORDS.get(name.replace("_", "-").lower(), ())
    return next((option for option in meant if option in known), None)
