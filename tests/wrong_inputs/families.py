"""Wrong settings of models: networks, schedules, losses, samplers and all else that a family is made of."""

from tests.wrong_inputs import Wrong

NOT_FINITE = "a number, not nan or infinite"
GPT = "model=autoregressive network=image_gpt"
AUTOENCODER = "main model=latent_diffusion"
CASCADE = "main model=cascade"

# Numbers of networks, under the keys that they are typed with, wherever the network stands.
NETWORKS = (
    Wrong("main network.dropout=nan", ("network.dropout is nan", NOT_FINITE)),
    Wrong("main network.dropout=null", ("network.dropout is null", "a number")),
    Wrong("main network.width=7", ("network.width is 7", "even")),
    Wrong("main network.width=1000000000", ("network.width is 1000000000", "from 2 to 16,384")),
    Wrong("main network.width=16000", ("weights take over", "this machine", "network.width=16000")),
    Wrong("main network.width=true", ("network.width is true", "a whole number")),
    Wrong(f"main network.width={10**30}", (f"network.width is {10**30}", "below 2^63")),
    Wrong("main network.blocks=0.5", ("network.blocks is 0.5", "a whole number")),
    Wrong("main network.blocks=1000000000", ("network.blocks is 1000000000", "from 1 to 1,000")),
    Wrong("main network.multipliers=3", ("network.multipliers is 3", "a list of whole numbers or null")),
    Wrong("main network.multipliers=[1000000000]", ("network.multipliers", "from 1 to 1,024")),
    Wrong("main network.attention_side=-1", ("network.attention_side is -1", "at least 0")),
    Wrong("main network=dit network.patch=3", ("network.patch is 3", "8x8", "choose from 1, 2, 4, 8")),
    Wrong("main network=dit network.heads=3", ("network.heads is 3", "network.width=64", "2, 4, 8, 16")),
    Wrong("main model=vae network.encoder.dropout=2", ("network.encoder.dropout is 2", "below 1")),
    Wrong("main model=vae network.decoder.out_channels=2", ("2, 8, 8", "out_channels")),
    Wrong("main model=vae network.decoder.out_channels=0", ("network.decoder.out_channels is 0", "from 1")),
    Wrong("main model=autoencoder model.latent=0", ("model.latent is 0", "from 1 to 16,384")),
    Wrong("main model=vqvae network.decoder.condition_size=5", ("condition_size", "null")),
    Wrong("main model=vqvae prior_network.heads=3", ("prior_network.heads is 3", "prior_network.width=64")),
    Wrong("main model=flow network.kernel=1000001", ("network.kernel is 1000001", "from 1 to 99")),
    Wrong("main model=gan model.latent_size=0", ("model.latent_size is 0", "from 1")),
    Wrong(f"{AUTOENCODER} autoencoder.network.encoder.width=3", ("autoencoder.network.encoder.width is 3",)),
    Wrong(f"{AUTOENCODER} autoencoder.network.encoder.out_channels=7", ("out_channels is 7", "even")),
)

# Cascades of models of two sizes.
CASCADES = (
    Wrong(f"{CASCADE} model.condition.factor=3", ("model.condition.factor is 3", "8x8", "use 2 or 4 or 8")),
    Wrong(f"{CASCADE} model.condition.factor=1", ("model.condition.factor is 1", "at least 2")),
    Wrong(f"{CASCADE} model.condition.factor=a", ("model.condition.factor is 'a'", "a whole number")),
    Wrong(f"{CASCADE} model.condition.augmentation=0.7", ("augmentation is 0.7", "max_augmentation=0.5")),
    Wrong(f"{CASCADE} model.share=1", ("model.share is 1", "between 0 and 1")),
    Wrong(f"{CASCADE} process=binomial", ("process=binomial does not fit", "gaussian")),
    Wrong(f"{CASCADE} network=unet", ("network=unet does not fit", "unet_super_resolution")),
    Wrong(
        "main model=latent_diffusion trainer.ema_snapshots=8",
        ("trainer.ema_snapshots=8", "2 stages", "autoencoder=run"),
    ),
    Wrong(
        f"{CASCADE} conditional=true guidance=classifier",
        ("guidance=classifier and guidance=auto know images of one size", "guidance=classifier_free"),
    ),
)

# Processes of noise, and how they are sampled and measured.
PROCESSES = (
    Wrong("main schedule.T=1000000000000", ("schedule.T is 1000000000000", "from 1 to 1,000,000")),
    Wrong("main schedule.T=20", ("sampler.steps is 50", "schedule.T=20", "use fewer steps")),
    Wrong("main schedule.s=-1", ("schedule.s is -1", "from 0 to 1")),
    Wrong("main schedule.beta_max=1e-12", ("leaves 1 of the signal's variance", "schedule")),
    Wrong("main schedule=edm schedule.sigma_max=0.5", ("0.8 of the signal's variance", "at most 0.5")),
    Wrong("main process=variance_exploding schedule.sigma_max=0", ("schedule.sigma_max=0", "e.g. 0.01")),
    Wrong("main schedule=linear schedule.beta_T=7", ("betas", "below 1", "smaller betas")),
    Wrong("main sampler.steps=1001", ("sampler.steps is 1001", "schedule.T=1000")),
    Wrong("main sampler=heun sampler.spacing.rho=inf", ("sampler.spacing.rho is inf", NOT_FINITE)),
    Wrong("main sampler=predictor_corrector sampler.snr=2", ("sampler.snr is 2", "below 1", "0.6")),
    Wrong("main sampler=langevin sampler.corrector_steps=0", ("sampler.corrector_steps is 0", "from 1")),
    Wrong("main density.steps=99999", ("density.steps is 99999", "from 2 to schedule.T=1000", "null")),
    Wrong("main model=vae likelihood=pointwise loss=huber loss.delta=0", ("loss.delta is 0", "above 0")),
    Wrong("main weighting=min_snr weighting.gamma=nan", ("weighting.gamma is nan", NOT_FINITE)),
    Wrong("main loss=vlb times.history=1000000000", ("times.history is 1000000000", "from 1 to 1,000")),
    Wrong(
        "main conditional=true guidance=classifier_free guidance.interval=[1,0]",
        ("guidance.interval is [1, 0]", "rising", "[0, 1]"),
    ),
    Wrong(
        "main conditional=true guidance=classifier_free guidance.interval=[0,nan]",
        ("guidance.interval is [0, nan]", "a list of numbers"),
    ),
    Wrong(
        "main conditional=true guidance=classifier guidance.classifier.width=1",
        ("guidance.classifier.width is 1", "from 2"),
    ),
    Wrong("main model=flow_matching solver.steps=1000000000", ("solver.steps is 1000000000", "10,000")),
    Wrong(
        "main model=flow_matching pairing=reflow pairing.solver.steps=0",
        ("pairing.solver.steps is 0", "from 1 to 10,000"),
    ),
    Wrong(
        "main model=flow_matching path_times=logit_normal path_times.std=0",
        ("path_times.std is 0", "above 0"),
    ),
    Wrong(
        f"{AUTOENCODER} prior=flow_matching prior.process.density_steps=0",
        ("prior.process.density_steps is 0", "from 1 to 10,000"),
    ),
    Wrong("main model=consistency process.doublings=99999", ("process.doublings is 99999", "to 23")),
    Wrong("main augmentation=edm augmentation.p=2", ("augmentation.p is 2", "from 0 (never) to 1")),
    Wrong("main augmentation=diffaugment", ("augmentation=diffaugment does not fit model=ddpm", "edm, none")),
    Wrong("main model=consistency augmentation=edm", ("augmentation", "model=consistency")),
    Wrong(
        "main process=binomial data.binarize=true augmentation=edm",
        ("grey pixels", "augmentation=none, or process=gaussian"),
    ),
    Wrong(
        "main model=flow_matching pairing=reflow augmentation=edm",
        ("pairing=reflow trains on images that the first stage draws", "augmentation=none"),
    ),
    Wrong(
        "main model=flow_matching pairing=optimal_transport augmentation=edm",
        ("pairing=optimal_transport gives each image the noise that is near", "or pairing=independent"),
    ),
    Wrong(
        "main model=consistency process.double_images=999999",
        ("process.double_images is 999999", "the step size would never be halved", "null"),
    ),
)

# Settings of the other families.
OTHERS = (
    Wrong("main model=vae model.beta=-1", ("model.beta is -1", "above 0")),
    Wrong("main model=vae model.importance_samples=0", ("model.importance_samples is 0", "from 1 to 10,000")),
    Wrong(f"{AUTOENCODER} autoencoder.beta=-1", ("autoencoder.beta is -1", "above 0")),
    Wrong(f"{AUTOENCODER} model.share=2", ("model.share is 2", "between 0 and 1")),
    Wrong("main model=vqvae model.share=0", ("model.share is 0", "between 0 and 1")),
    Wrong("main model=vqvae model.codebook.size=1000000000", ("model.codebook.size is", "from 2 to 262,144")),
    Wrong("main model=vqvae model.codebook.decay=1", ("model.codebook.decay is 1", "below 1")),
    Wrong("main model=masked_diffusion model.terms=0", ("model.terms is 0", "from 1 to 10,000")),
    Wrong("main model=masked_diffusion unmasking.steps=0", ("unmasking.steps is 0", "from 1")),
    Wrong(
        "main model=vqvae prior_network=masked unmasking.steps=100",
        ("unmasking.steps is 100, and there are 16 tokens", "set it to 16 or fewer"),
    ),
    Wrong("main model=tarflow flow.layers=0", ("flow.layers is 0", "from 1 to 1,000")),
    Wrong("main model=tarflow flow.patch=3", ("squares of 3x3 do not tile a map of 8x8",)),
    Wrong(
        "main model=tarflow dequantization=gaussian dequantization.sigma=0",
        ("dequantization.sigma is 0", "above 0 and at most 1"),
    ),
    Wrong(
        "main model=flow dequantization=gaussian pixels=logit",
        ("pixels=logit cannot take", "use pixels=plain"),
    ),
    Wrong("main model=tarflow guidance=classifier_free", ("set conditional=true",)),
    Wrong("main model=flow flow=tarflow", ("flow=tarflow does not fit model=flow", "glow, realnvp")),
    Wrong("main model=flow model.temperature=-1", ("model.temperature is -1", "at least 0")),
    Wrong("main model=flow model.tolerance=1e-12", ("model.tolerance is 1e-12", "at least 0.001")),
    Wrong("main model=flow flow.steps=1000000000", ("flow.steps is 1000000000", "from 1 to 1,000")),
    Wrong("main model=flow flow.split_bound=-1", ("flow.split_bound is -1", "above 0")),
    Wrong("main model=flow coupling=mixture coupling.spread=1e30", ("coupling.spread is 1e+30", "to 100")),
    Wrong("main model=flow dequantization.draws=1000000000", ("dequantization.draws is", "10,000")),
    Wrong("main model=gan model.critic_steps=1000000000", ("model.critic_steps is 1000000000", "to 1,000")),
    Wrong("main model=gan penalty.every=0", ("penalty.every is 0", "at least 1")),
    Wrong(
        "main model=gan augmentation=diffaugment augmentation.cutout=2", ("augmentation.cutout is 2", "to 1")
    ),
    Wrong("main model=gan augmentation=edm", ("augmentation=edm does not fit", "diffaugment, none")),
    Wrong(f"main {GPT} pixel_law=palette pixel_law.size=100000", ("pixel_law.size is 100000", "1,024")),
    Wrong(
        "main model=autoregressive pixel_law=mixture pixel_law.min_log_scale=1e30",
        ("pixel_law.min_log_scale is 1e+30", "below 0"),
    ),
)

ROWS = (*NETWORKS, *CASCADES, *PROCESSES, *OTHERS)
