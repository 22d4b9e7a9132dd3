"""Wrong numbers, switches and texts of settings outside of models, and of the options of verbs."""

import shutil
from pathlib import Path

from tests.wrong_inputs import Wrong

EARLIER = Path(__file__).resolve().parents[1] / "earlier_runs"


def ddpm(folder: Path) -> None:
    """Give the directory `ddpm` of a trained run, on 128 digits."""
    shutil.copytree(EARLIER / "ddpm-digits-seed0-5a97580b", folder / "ddpm")


def vae(folder: Path) -> None:
    """Give the directory `vae` of a trained run, whose model samples without steps."""
    shutil.copytree(EARLIER / "vae-digits-seed0-21efacf8", folder / "vae")


TRAINING = (
    Wrong("main trainer.batch_size=0", ("trainer.batch_size is 0", "at least 1")),
    Wrong("main trainer.batch_size=0.5", ("trainer.batch_size is 0.5", "a whole number")),
    Wrong("main trainer.batch_size=10000000", ("is 10000000", "budget.images=60000", "at most 60000")),
    Wrong(
        "main trainer.batch_size=1000000000 budget.images=1000000000",
        ("trainer.batch_size is 1000000000", "GB of memory", "GB are free", "take at most"),
    ),
    Wrong("main trainer.ema_snapshots=0", ("trainer.ema_snapshots is 0", "above 0")),
    Wrong("main trainer.ema_snapshots=1000", ("trainer.ema_snapshots is 1000", "from 1 to 256")),
    Wrong("main trainer.accumulate=0", ("trainer.accumulate=0", "divide trainer.batch_size=64")),
    Wrong("main trainer.accumulate=128", ("trainer.accumulate=128", "divide trainer.batch_size=64")),
    Wrong("main trainer.devices=0", ("trainer.devices is 0", "choose from 1, 2, 4")),
    Wrong("main trainer.devices=1000", ("trainer.devices is 1000", "choose from 1, 2, 4")),
    Wrong("main trainer.batch_size=4096 trainer.devices=2048", ("trainer.devices is 2048", "512, 1024")),
    Wrong("main trainer.clip_norm=0", ("trainer.clip_norm is 0", "above 0")),
    Wrong("main trainer.clip_norm=nan", ("trainer.clip_norm is nan",)),
    Wrong("main trainer.ema_halflife_images=-1", ("trainer.ema_halflife_images is -1", "above 0")),
    Wrong("main trainer.sample_every_images=0", ("trainer.sample_every_images is 0", "above 0")),
    Wrong("main trainer.evaluate_every_images=60000", ("is 60000", "budget.images=60000", "null")),
    Wrong(
        "main trainer.evaluate_every_images=1000 trainer.evaluate_samples=1",
        ("evaluate_samples is 1", "needs 20 or more"),
    ),
    Wrong(
        "main trainer.evaluate_every_images=1000 trainer.evaluate_samples=1000000000000",
        ("evaluate_samples is 1000000000000", "10,000,000 or less"),
    ),
    Wrong("main data.validation=1", ("data.validation is 1", "between 0 and 1", "0.1")),
    Wrong("main trainer.validate_every_images=0", ("validate_every_images is 0", "above 0")),
    Wrong("main trainer.patience=0 data.validation=0.1", ("trainer.patience is 0", "above 0")),
    Wrong("main trainer.keep=first", ("trainer.keep is 'first'", "last", "best")),
    Wrong("main trainer.keep=best", ("trainer.keep=best needs", "data.validation=0.1")),
    Wrong("main trainer.patience=3", ("trainer.patience=3 needs", "data.validation=0.1")),
    Wrong(
        "main trainer.keep=best data.validation=0.1 trainer.validate_every_images=null",
        ("needs validations", "validate_every_images"),
    ),
    Wrong(
        "main model=gan trainer.keep=best data.validation=0.1",
        ("keep_by is 'loss'", "disc, gen", "choose from is, fid"),
    ),
    Wrong(
        "main model=gan trainer.keep=best data.validation=0.1 trainer.keep_by=bits_per_dim",
        ("keep_by is 'bits_per_dim'", "no likelihood", "fid"),
    ),
    Wrong(  # a score of known distributions alone
        "main model=gan trainer.keep=best data.validation=0.1 trainer.keep_by=modes",
        ("keep_by is 'modes'", "choose from is, fid"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 trainer.keep_by=swd",
        ("keep_by is 'swd'", "choose from loss, bits_per_dim, is, fid"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 trainer.keep_by=fid trainer.evaluate_samples=5",
        ("evaluate_samples is 5", "needs 20 or more"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 metrics=none trainer.keep_by=fid",
        ("keep_by is 'fid'", "choose from loss, bits_per_dim"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 trainer.keep_by=modes",
        ("keep_by is 'modes'", "without a known distribution, which data=gaussians has", "choose from loss"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 scores=[fid,fld] trainer.keep_by=fld",
        ("keep_by is 'fld'", "compare with their own images alone", "choose from loss, bits_per_dim, fid"),
    ),
    Wrong(
        "main trainer.keep=best data.validation=0.1 metrics=full trainer.keep_by=fid_class",
        ("keep_by is 'fid_class'", "without labels of its samples", "conditional=true"),
    ),
    Wrong("main trainer.samples_per_class=1000000000", ("samples_per_class is 1000000000", "1 to 100")),
    Wrong("main trainer.checkpoint_every_seconds=0", ("checkpoint_every_seconds is 0", "above 0")),
    Wrong("main trainer.on_nonfinite=maybe", ("on_nonfinite is 'maybe'", "skip")),
    Wrong("main optim.lr=-1", ("optim.lr is -1", "at least 0")),
    Wrong("main optim.betas=[1,0.9]", ("optim.betas is [1, 0.9]", "from 0 to below 1")),
    Wrong("main optim.eps=2", ("optim.eps is 2", "from 0 to 1")),
    Wrong("main optim.weight_decay=-1", ("optim.weight_decay is -1", "at least 0")),
    Wrong("main lr_schedule.warmup_images=-1", ("lr_schedule.warmup_images is -1", "0 or more")),
    Wrong("main budget.images=0", ("budget.images is 0", "above 0")),
    Wrong("main budget.images=null", ("budget.images", "all null")),
    Wrong("main budget.seconds=-1", ("budget.seconds is -1", "above 0")),
    Wrong("main precision.gain=0", ("precision.gain is 0", "above 0")),
    Wrong("main seed=0.5", ("seed is 0.5", "a whole number")),
    Wrong("main device=cuda:99", ("device is 'cuda:99'", "auto, cpu or cuda")),
    Wrong("main conditional=2", ("conditional is 2", "true or false")),
    Wrong("main objective=is", ("objective is 'is'", "choose from")),
)
EVALUATION = (
    Wrong("main metrics.samples=1", ("metrics.samples is 1", "needs 20 or more")),
    Wrong("main metrics.samples=1000000000000", ("metrics.samples is 1000000000000", "10,000,000 or less")),
    Wrong("main metrics.batch_size=-1", ("metrics.batch_size is -1", "1 or more")),
    Wrong("main metrics.batch_size=1000000000", ("metrics.batch_size is 1000000000", "at most 100,000")),
    Wrong("main metrics.likelihood_samples=-5", ("metrics.likelihood_samples is -5", "null for all")),
    Wrong("main metrics.samples=64 scores.is.splits=1000000", ("metrics.samples is 64", "2000000 or more")),
    Wrong("main scores.kid.subsets=1000000000000", ("scores.kid.subsets is 1000000000000", "1 to 10,000")),
    Wrong("main scores.precision_recall.neighbours=0", ("neighbours is 0", "from 1 to 1000")),
    Wrong("main scores=[fid_inf] scores.fid_inf.sizes=1000000", ("sizes is 1000000", "to 1000")),
    Wrong("main scores=[swd] scores.swd.directions=1000000000", ("directions is 1000000000", "to 10,000")),
    Wrong("main scores=[cmmd] scores.cmmd.sigma=0", ("scores.cmmd.sigma is 0", "above 0")),
    Wrong("main scores=[fld] scores.fld.samples=1", ("scores.fld.samples is 1", "2 or more")),
    Wrong("main scores=[cas] scores.cas.images=1", ("scores.cas.images is 1", "from 64 (one batch)")),
    Wrong(
        "main features=classifier features.images=1000000000000",
        ("features.images is 1000000000000", "from 64 (one batch)"),
    ),
    Wrong("main features=classifier features.seed=-1", ("features.seed is -1", "0 or more")),
)
DATA = (
    Wrong("main data=gaussians data.size=3", ("data.size is 3", "4 or more")),
    Wrong("main data=gaussians data.size=100000", ("data.size=100000", "GB of memory", "GB are free")),
    Wrong("main data=gaussians data.classes=1000000000", ("data.classes=1000000000", "GB are free")),
    Wrong("main data=gaussians data.spread=0", ("data.spread is 0", "from 1 to 64")),
    Wrong("main data=gaussians data.train=0", ("data.train is 0", "1 or more")),
    Wrong(
        "main data=gaussians data.train=1000000000000", ("data.train is 1000000000000", "100,000,000 or less")
    ),
    Wrong(
        "main data=gaussians data.train=16 data.test=3",
        ("test split of gaussians has 3 images", "needs 20 or more"),
    ),
    Wrong("main data=image_folder data.size=100000", ("data.size is 100000", "from 1 to 8,192")),
    Wrong("main data=image_folder data.channels=2", ("channels is 2", "1 (grey) and 3")),
)
VERBS = (
    Wrong(
        "genbench sample ddpm --out o --n 99999999999999999999", ("--n is 99999999999999999999", "GB"), ddpm
    ),
    Wrong("genbench sample ddpm --out o --label 10", ("--label is 10", "from 0 to 9"), ddpm),
    Wrong("genbench sample ddpm --out o --steps 0", ("sampler.steps is 0", "at least 1"), ddpm),
    Wrong("genbench sample ddpm --out o --set sampler.steps=x", ("sampler.steps is 'x'",), ddpm),
    Wrong("genbench sample ddpm --out o --steps 3 --set steps=2", ("steps is given twice", "once"), ddpm),
    Wrong(
        "genbench sample ddpm --out o --steps 3 --set sampler.steps=2",
        ("sampler.steps is given twice",),
        ddpm,
    ),
    Wrong("genbench sample ddpm --out o --strength 0.5", ("--strength", "--vary"), ddpm),
    Wrong(
        "genbench sample ddpm --out o --device cuda:99", ("device is 'cuda:99'", "auto, cpu or cuda"), ddpm
    ),
    Wrong("genbench sample vae --out o --steps 3", ("sampler.steps", "it has none"), vae),
    Wrong("genbench sampler-sweep ddpm --out o --steps 2,x", ("--steps is '2,x'", "whole numbers"), ddpm),
    Wrong("genbench sampler-sweep ddpm --out o --steps 2,2", ("--steps is '2,2'", "once"), ddpm),
    Wrong("genbench sampler-sweep ddpm --out o --n 1000000000", ("--n is 1000000000", "10,000,000"), ddpm),
    Wrong("genbench bound ddpm --out o --n 1000", ("--n is 1000", "the test split of", "take fewer"), ddpm),
    Wrong("genbench schedules --out s.png --T 999999999999", ("--T is 999999999999", "1 to 1,000,000")),
    Wrong("genbench evaluate vae --set metrics.samples=1", ("metrics.samples is 1", "20 or more"), vae),
    Wrong("genbench report ddpm --filter fid<abc", ("--filter fid<abc", "not a number"), ddpm),
    Wrong("genbench report ddpm --sort abc", ("'abc' is no column", "--keys"), ddpm),
    Wrong("genbench compare ddpm ddpm --a seed=7", ("seed=7", "seed is 0"), ddpm),
    Wrong("genbench selfcheck --device foo", ("device is 'foo'", "auto, cpu or cuda")),
    Wrong(
        "genbench dashboard --project p --data abc",
        ("--data is 'abc'", "choose from captioned, celeba, cifar10"),
    ),
    Wrong("genbench evaluate vae --set seed=-1", ("seed is -1", "at least 0"), vae),
)
ROWS = (*TRAINING, *EVALUATION, *DATA, *VERBS)
