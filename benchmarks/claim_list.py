"""The claims of texts on generative models that `benchmarks.claims` measures: rows, measures, statements."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.claim_verdicts import Statement

__all__ = ["CLAIMS", "LR", "Claim"]

RUN = "python main.py -m"
LR = "optim.lr"


class Claim(NamedTuple):
    """One claim: the sentence of the texts, how it is measured, and what its runs are compared by."""

    title: str
    sentence: str  # as the texts make it
    setup: str  # what is equal, and what was tuned
    folder: str  # of its runs, below the directory of all runs
    commands: Sequence[str]
    axes: Sequence[str]  # overrides whose values name a row; none of rows that come from elsewhere
    rows: Sequence[str]
    measures: Sequence[str]
    statements: Sequence[Statement]
    limits: str  # what it does not show
    names: Mapping[str, str] = MappingProxyType({})  # of rows, for a reader
    tuned: str = ""  # the last axis, of whose values each row has the one with the lowest mean FID
    ladders: Mapping[str, int] = MappingProxyType({})  # rates of which a row's was chosen, in other runs


def each(row: str, way: int, measure: str, others: Sequence[str]) -> list[Statement]:
    """Return a statement for each of some rows that another one is compared with."""
    return [Statement(row, 1 if way > 0 else -1, measure, other) for other in others]


FAMILIES = ("ddpm", "vae", "gan", "flow", "autoregressive", "autoregressive, image_gpt")
FAMILY_NAMES = {"autoregressive": "pixelcnn", "autoregressive, image_gpt": "image_gpt"}
FAMILY_COMMANDS = (f"{RUN} sweep=claims_families", f"{RUN} sweep=claims_image_gpt")
EQUAL_OPERATIONS = (
    "Equal operations of training, 500 GFLOP, since a step of each family costs another amount. (Equal "
    "seconds would depend on what else the machine does.) Each family has its tuned settings for digits."
)
SMALL = "Digits are 8x8 pixels, and the networks are small."

CLAIMS = (
    Claim(
        "Noise schedules",
        "A cosine schedule is better than a linear one, and both than a geometric one.",
        "20,000 images each; everything but the schedule is the default. Rates and networks were tuned "
        "with the cosine schedule.",
        "claims_schedules",
        [f"{RUN} sweep=claims_schedules"],
        ["schedule"],
        ["cosine", "linear", "geometric"],
        ["fid", "is", "recall", "bits_per_dim"],
        [
            *each("cosine", -1, "fid", ["linear", "geometric"]),
            *each("linear", -1, "fid", ["geometric"]),
            *each("cosine", -1, "bits_per_dim", ["linear", "geometric"]),
        ],
        f"{SMALL} The reason that the texts give, detail lost early at high resolution, cannot show at 8x8.",
    ),
    Claim(
        "Losses of diffusion",
        "The Huber loss is better than l1 and l2.",
        "20,000 images each; everything but the loss is the default, which was tuned with l2.",
        "claims_losses",
        [f"{RUN} sweep=claims_losses"],
        ["loss"],
        ["l2", "l1", "huber"],
        ["fid", "is", "recall", "bits_per_dim"],
        [*each("huber", -1, "fid", ["l2", "l1"]), *each("huber", -1, "bits_per_dim", ["l2", "l1"])],
        f"{SMALL} Images without outliers give a robust loss nothing to be robust against.",
    ),
    Claim(
        "What the network predicts",
        "Predicting the noise is better than predicting the mean, the image, the velocity or the score.",
        "20,000 images each, the better of two learning rates (0.001, 0.004) by mean FID for each row, as "
        "the targets have other scales. `mean` and `score` come with the weight of the noise "
        "(`weighting=eps`), `x0` and `v` with none, so that each weights the noise levels in its own way. "
        "By that weight the score has the loss of the noise, up to its sign: the two are one model.",
        "claims_parameterizations",
        [f"{RUN} sweep=claims_parameterizations"],
        ["parameterization", LR],
        ["eps", "x0", "v", "mean", "score"],
        [LR, "fid", "is", "recall", "coverage"],
        each("eps", -1, "fid", ["x0", "v", "mean", "score"]),
        f"{SMALL} Rates were chosen on the runs that are tested, which flatters all rows alike. FID is one "
        "side: `x0` has a poor likelihood ([ddpm](families/ddpm.md)).",
        tuned=LR,
    ),
    Claim(
        "Variance of the reverse process",
        "A learned variance has a better likelihood than fixed ones, and better samples in few steps.",
        "20,000 images each; 10 steps of ancestral sampling; bits from 50 terms of the bound for each of "
        "359 images. `beta`, `posterior` and `fitted` share their training, bit for bit; `fitted` changes "
        "the likelihood alone, and draws with the variance of `posterior`.",
        "claims_variances",
        [f"{RUN} sweep=claims_variances", f"{RUN} sweep=claims_variance_learned"],
        ["variance", "loss"],
        ["hybrid", "fitted", "posterior", "beta"],
        ["fid", "is", "recall", "bits_per_dim"],
        [
            *each("hybrid", -1, "bits_per_dim", ["fitted", "posterior", "beta"]),
            *each("hybrid", -1, "fid", ["posterior", "beta"]),
        ],
        f"{SMALL} The learned variance is trained by L_hybrid, whose weight 0.001 is the paper's, not "
        "tuned here.",
        {"hybrid": "learned"},
    ),
    Claim(
        "Beta of a VAE",
        "A larger weight on the KL divergence costs a VAE diversity.",
        "20,000 images each; everything but beta is the default, tuned at beta = 1.",
        "claims_betas",
        [f"{RUN} sweep=claims_betas"],
        ["model.beta"],
        ["0.25", "1", "4", "16"],
        ["fid", "recall", "coverage", "sharpness", "bits_per_dim"],
        [
            *each("4", -1, "recall", ["1"]),
            *each("16", -1, "recall", ["1"]),
            *each("4", -1, "coverage", ["1"]),
            *each("16", -1, "coverage", ["1"]),
            *each("1", -1, "coverage", ["0.25"]),
        ],
        f"{SMALL} Bits are of the bound with weight 1 for each, whatever weight it was trained with.",
        {x: f"beta {x}" for x in ("0.25", "1", "4", "16")},
    ),
    Claim(
        "VAE samples are blurred",
        "Samples of a VAE are blurred.",
        f"{EQUAL_OPERATIONS} Sharpness is the energy of the Laplacian of samples over that of the training "
        "images: 1 for real images, less for blurred ones, more for noisy ones.",
        "claims_families",
        FAMILY_COMMANDS,
        ["model", "network"],
        FAMILIES,
        ["sharpness", "fid", "is"],
        each("vae", -1, "sharpness", ["gan", "ddpm", "flow", "autoregressive"]),
        f"{SMALL} Noise adds to sharpness, so a value near 1 may also be blur and noise together.",
        FAMILY_NAMES,
    ),
    Claim(
        "GANs cover less",
        "Samples of a GAN cover less of the data than those of models with a likelihood.",
        f"{EQUAL_OPERATIONS} Coverage is the share of real images with a sample among their neighbours.",
        "claims_families",
        FAMILY_COMMANDS,
        ["model", "network"],
        FAMILIES,
        ["recall", "coverage", "precision", "fid"],
        [
            *each("gan", -1, "coverage", ["ddpm", "vae", "flow", "autoregressive"]),
            *each("gan", -1, "recall", ["ddpm", "vae", "flow", "autoregressive"]),
        ],
        f"{SMALL} Coverage also falls where samples are poor, whatever their diversity. The GAN is the "
        "default, relativistic with gradient penalties, which was made against collapse.",
        FAMILY_NAMES,
    ),
    Claim(
        "GANs are harder to train",
        "The training of a GAN fails more often than that of other families.",
        "200 GFLOP each, over learning rates 0.001, 0.004, 0.016 and 0.064 and three seeds: 12 runs a "
        "row. A run failed if the loop stopped it (a loss that is not finite, a logit beyond 10,000), if "
        "its FID is that of uniform noise ({noise:.1f}) or more, or if its Inception score is below 2 "
        "(collapsed: fewer than two of ten classes). Shares of runs with Wilson's 95 % intervals; "
        "Fisher's exact test.",
        "claims_stability",
        [f"{RUN} sweep=claims_stability", f"{RUN} sweep=claims_stability_gan"],
        ["model", "criterion"],
        ["gan", "gan, non_saturating", "ddpm", "vae", "flow"],
        ["failed", "stopped", "worse than noise", "collapsed"],
        [
            *each("gan", 1, "failed", ["ddpm", "vae", "flow"]),
            *each("gan, non_saturating", 1, "failed", ["ddpm", "vae", "flow", "gan"]),
        ],
        f"{SMALL} One grid of rates for all: the families' own rates lie between 0.002 and 0.004. "
        "Gradients are clipped in all families but GANs, as each does by default.",
        {"gan, non_saturating": "gan of 2014, without penalty"},
    ),
    Claim(
        "Diffusion is slow, and fewer steps help",
        "A diffusion model takes many steps a sample; a strided sampler needs far fewer for the same "
        "quality.",
        "The DDPM of the runs above (T = 1000), drawn anew with other samplers and numbers of steps.",
        "claims_steps",
        ["genbench sampler-sweep RUN --out DIR --samplers ancestral,ddim --steps 10,50,100,250,1000"],
        [],
        [f"{sampler}, {n}" for sampler in ("ancestral", "ddim") for n in (10, 50, 100, 250, 1000)],
        ["passes_per_sample", "seconds_per_image", "fid", "recall"],
        [
            *each("ddim, 50", -1, "seconds_per_image", ["ancestral, 1000"]),
            *each("ancestral, 1000", -1, "fid", ["ddim, 50", "ddim, 10", "ancestral, 50", "ancestral, 10"]),
        ],
        f"{SMALL} The statements on FID are those of a cost: where one holds, fewer steps are worse.",
    ),
    Claim(
        "Cost of a sample",
        "A sample of a diffusion model takes far longer than one of a GAN or a VAE; image-GPT is slow.",
        f"{EQUAL_OPERATIONS} DDPM with 50 of its 1000 steps; seconds on one thread, in batches.",
        "claims_families",
        FAMILY_COMMANDS,
        ["model", "network"],
        FAMILIES,
        ["passes_per_sample", "seconds_per_image", "fid"],
        [
            *each("ddpm", 1, "seconds_per_image", ["gan", "vae", "flow"]),
            *each("autoregressive, image_gpt", 1, "seconds_per_image", ["autoregressive", "ddpm", "gan"]),
        ],
        f"{SMALL} An autoregressive sample takes a pass for each of 64 pixels here, and 3,072 at 3x32x32. "
        "Seconds are of a machine that did other work, too.",
        FAMILY_NAMES,
    ),
    Claim(
        "Latent diffusion is faster",
        "Diffusion in the latents of an autoencoder trains and draws faster than in pixels.",
        "Fashion-MNIST's first 6,000 images enlarged to 64x64 (1,000 held out), batches of 64, U-Nets of "
        "width 32: on 2x2-folded pixels, and on latents of 16x16x4 after an autoencoder of 2x2-folded "
        "pixels that takes 0.4 of the budget. 120 seconds of training each, 20 steps of sampling, 100 "
        "samples; FID and KID on a classifier of the images' own labels. Training rates are over both "
        "stages.",
        "claims_latent",
        [
            f"{RUN} sweep=claims_pixels data=image_folder data.root=PATH data.channels=1",
            f"{RUN} sweep=claims_latent data=image_folder data.root=PATH data.channels=1",
        ],
        ["model"],
        ["ddpm", "latent_diffusion"],
        [
            "images_seen",
            "images_per_second",
            "flops_per_image",
            "seconds_per_image",
            "flops_per_sample",
            "fid",
            "kid",
        ],
        [
            *each("latent_diffusion", 1, "images_per_second", ["ddpm"]),
            *each("latent_diffusion", -1, "seconds_per_image", ["ddpm"]),
            *each("latent_diffusion", -1, "fid", ["ddpm"]),
        ],
        "Small networks after minutes of one core; neither draws well yet. The machine did other work, too, "
        "least of it beside seed 0 and most beside seed 2 of latent_diffusion: seconds, and the images that "
        "120 of them suffice for, depend on that, operations do not. A first run of latent_diffusion, on "
        "another autoencoder (without patches of 2x2), trained 1.5 images/s and is not shown: both rows were "
        "then trained again.",
    ),
    Claim(
        "Options of this version, a line each",
        "No claim: each new option at the budget of the other sections, beside the default.",
        "20,000 images each, three seeds; everything else is the default of each option, but that the "
        "levels of noise of `variance_exploding` fit digits (`schedule.sigma_max=10`).",
        "claims_options",
        [
            f"{RUN} sweep=claims_{name}"
            for name in ("optimizers", "variance_exploding", "cascade", "guidance")
        ],
        ["model", "optim", "process", "sampler", "guidance"],
        [
            "ddpm, adam",
            "ddpm, nadam",
            "ddpm, variance_exploding, langevin",
            "ddpm, variance_exploding, predictor_corrector",
            "cascade",
            "ddpm, none",
            "ddpm, classifier",
        ],
        ["fid", "is", "recall", "coverage", "sharpness", "passes_per_sample", "seconds_per_image"],
        [],
        f"{SMALL} Samples of conditional rows are of given classes, which makes their FID lower than that "
        "of others. The rate of nadam, 0.004, was chosen from four on seed 0 at this budget (at 0.002 this "
        "row has FID 6.00 ± 0.79); the rates of the other new options are those of the default. "
        "Seconds were taken under changing load.",
        {
            "ddpm, adam": "ddpm (default)",
            "ddpm, nadam": "optim=nadam",
            "ddpm, variance_exploding, langevin": "process=variance_exploding, sampler=langevin",
            "ddpm, variance_exploding, predictor_corrector": (
                "process=variance_exploding, sampler=predictor_corrector"
            ),
            "cascade": "model=cascade",
            "ddpm, none": "conditional=true",
            "ddpm, classifier": "conditional=true, guidance=classifier",
        },
        ladders={"ddpm, nadam": 4},
    ),
)
