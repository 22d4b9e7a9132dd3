"""Wrong words on the command line of main.py: keys, options, groups, and how they go together."""

from pathlib import Path

from tests.wrong_inputs import Wrong

ONLY = "only tuned, experiment, sweep and settings of groups can be left out"
FACT = "is a fact of the data, which a run fills in"
HYDRA = "of Hydra's settings a command can give hydra/launcher"
UNREADABLE = "cannot be read as KEY=VALUE"


def file(folder: Path) -> None:
    """Give a command a file where it wants a folder."""
    (folder / "file").touch()


ROWS = (
    Wrong("main seed=-1", ("seed is -1", "at least 0")),
    Wrong("main model=ddpmm", ("ddpmm", "choose from autoencoder", "Did you mean ddpm?")),
    # What a run needs cannot be deleted.
    Wrong("main ~trainer", ("~trainer", ONLY, "choose from adversarial, default")),
    Wrong("main ~model", ("~model", "choose from autoencoder")),
    Wrong("main ~model=vae", ("~model=vae", "choose from autoencoder")),
    Wrong("main ~data", ("~data", "choose from captioned, celeba")),
    Wrong("main ~schedule", ("~schedule", "choose from cosine")),
    Wrong("main ~metrics", ("~metrics", "choose from auto")),
    Wrong("main ~seed", ("~seed", "set seed=VALUE")),
    Wrong("main ~name", ("~name", "set name=VALUE")),
    Wrong("main ~nothing", ("~nothing", ONLY)),
    Wrong("main ~optim._partial_", ("~optim._partial_", ONLY)),
    Wrong(
        "main ~network.shape", ("~network.shape leaves out a key that is not there", "leave out this word")
    ),
    Wrong("main ~schedule.T", ("variance.T refers to 'schedule.T'", "there is no such key")),
    Wrong("main ~hydra", ("~hydra", HYDRA)),
    Wrong("main -m seed=0,1 ~trainer", ("~trainer", ONLY)),
    # Facts of the data, and settings of Hydra that have no effect or switch checks off.
    Wrong("main image.shape=[1,2]", ("image.shape=[1,2]", FACT, "leave it out")),
    Wrong("main image.num_classes=10", ("image.num_classes=10", FACT)),
    Wrong("main +image.foo=1", ("+image.foo=1", FACT)),
    Wrong("main image=null", ("image=null", FACT)),
    Wrong("main ~image", ("~image", FACT)),
    Wrong("main hydra=1", ("hydra=1", HYDRA)),
    Wrong("main hydra.job.num=x", ("hydra.job.num=x", HYDRA)),
    Wrong("main hydra.callbacks.directory=null", ("hydra.callbacks.directory", HYDRA)),
    Wrong("main hydra.output_subdir=x", ("hydra.output_subdir=x", HYDRA)),
    Wrong("main hydra.job.env_copy=[A]", ("hydra.job.env_copy", HYDRA)),
    Wrong("main hydra.job_logging.root.level=foo", ("hydra.job_logging.root", HYDRA)),
    Wrong("main hydra/job_logging=stdout", ("hydra/job_logging=stdout has no file", "leave it out")),
    Wrong("main hydra/job_logging=none", ("hydra/job_logging=none has no file", "leave it out")),
    Wrong("main hydra.verbose=5", ("hydra.verbose=5", "true, false, or the name of a logger")),
    Wrong("main hydra.searchpath=[file:///no/such/folder]", ("hydra.searchpath", "folders that exist")),
    Wrong("main hydra.mode=foo", ("hydra.mode=foo is refused", "foo")),
    Wrong("main hydra/launcher=foo", ("foo is not an option of hydra/launcher", "choose from basic")),
    # Words that are no KEY=VALUE.
    Wrong("main foo", ("'foo'", UNREADABLE, "such as model=")),
    Wrong("main scheduel", ("'scheduel'", UNREADABLE, "such as schedule=cosine")),
    Wrong("main +", ("'+'", UNREADABLE)),
    Wrong("main ++x", ("'++x'", UNREADABLE)),
    Wrong("main ~~model", ("'~~model'", UNREADABLE)),
    Wrong("main -1", ("'-1'", UNREADABLE)),
    Wrong("main =", ("'='", "names no key", "write KEY=VALUE")),
    Wrong("main =1", ("'=1'", "names no key")),
    Wrong("main @x=1", ("'@x=1'", "names no key")),
    Wrong("main ++=1", ("'++=1'", "names no key")),
    Wrong("main ~", ("'~'", "names no key")),
    Wrong("main modèle=ddpm", ("'modèle'", "is no key", "such as model")),
    Wrong("main device=é", ("device=é", UNREADABLE, "\"device='é'\"")),
    Wrong("main 'seed=1\n2'", ("seed=1\\n2", UNREADABLE)),
    Wrong("main model=[", ("model=[", UNREADABLE, "close its brackets and quotes")),
    Wrong("main model={", ("model={", UNREADABLE)),
    Wrong('main "model=\'ddpm"', ("model='ddpm", UNREADABLE)),
    Wrong("main objective=a=b", ("objective=a=b", UNREADABLE, "\"objective='a=b'\"")),
    Wrong("main 'objective={x}'", ("objective={x}", UNREADABLE, "\"objective='{x}'\"")),
    Wrong("main data=mnist 'data.root=/d/a, b'", ("gives several values", "\"data.root='/d/a, b'\"")),
    Wrong("main a=", ("there is no key a",)),
    Wrong("main +seed=1", ("+seed adds a key that is there", "leave out the plus")),
    Wrong("main seed=0,1", ("seed=0,1 gives several values", "add -m")),
    Wrong("main model=vae,gan", ("model=vae,gan gives several values", "add -m")),
    # Choices of options.
    Wrong("main model=[ddpm]", ("model=[ddpm] is a list", "a run has one model")),
    Wrong("main model=[ddpm,vae]", ("model=[ddpm,vae] is a list", "one model")),
    Wrong("main model={a:1}", ("model={a:1} names no option of model",)),
    Wrong("main model=null", ("model=null chooses no option", "autoencoder")),
    Wrong("main schedule=", ("schedule= chooses no option of schedule", "cosine")),
    Wrong("main sampler=5", ("sampler=5 names no option of sampler", "ancestral")),
    Wrong("main +model=vae", ("+model=vae", "without a plus: write model=vae")),
    Wrong("main ++model=ddpm", ("++model=ddpm", "without a plus: write model=ddpm")),
    Wrong("main model@x=ddpm", ("model@x=ddpm", "'@x' names another", "write model=ddpm")),
    Wrong("main scores=[]", ("scores=[] chooses nothing", "metrics=likelihood has no scores")),
    Wrong("main scores=[fid,fid]", ("scores=[fid,fid] names fid twice",)),
    Wrong("main model=ddpm seeds=0,1", ("there is no key seeds: write seed=0,1, with -m",)),
    Wrong("main train model=ddpm", ("takes no verb: leave out train",)),
    Wrong("main model=mine", ("mine is not an option of model", "--config-dir DIR", "GENBENCH_CONFIG_DIR")),
    Wrong("main scores=[fid,foo]", ("foo is not an option of scores", "choose from authenticity")),
    Wrong("main 'scores={fid:1}'", ("names no option of scores",)),
    Wrong("main tuned=foo", ("tuned=foo names no file of conf/tuned", "flow_digits")),
    Wrong(
        "main -m tuned=gan_digits,foo", ("tuned=gan_digits,foo names no file of conf/tuned", "flow_digits")
    ),
    Wrong("main model=vae schedule=cosine", ("model=vae does not accept schedule", "its groups are network")),
    Wrong("main prior=ddpm", ("model=ddpm does not accept prior", "its groups are process")),
    # Options that belong to another model, or do not go together.
    Wrong("main network=dcgan", ("network=dcgan does not fit model=ddpm", "unet, unet_folded")),
    Wrong("main network=resnet_vae", ("network=resnet_vae does not fit model=ddpm", "choose from ddpm_pp,")),
    Wrong("main model=gan network=unet", ("does not fit model=gan", "choose from dcgan, r3gan, resnet_gan")),
    Wrong(
        "main model=autoregressive network=unet",
        ("network=unet does not fit model=autoregressive", "choose from image_gpt, pixelcnn"),
    ),
    Wrong("main model=latent_diffusion process=binomial", ("process=binomial does not fit", "gaussian")),
    Wrong("main schedule=erasure", ("schedule=erasure belongs to process=binomial", "use schedule=cosine")),
    Wrong("main process=binomial", ("black and white", "data.binarize=true")),
    Wrong("main loss=hybrid variance=fitted", ("loss=hybrid", "use variance=learned")),
    Wrong("main guidance=classifier", ("guidance=classifier needs classes", "conditional=true")),
    Wrong(
        "main conditional=true guidance=classifier_outside",
        ("guidance_network=noisy is not trained", "guidance.weights", "guidance=classifier"),
    ),
    Wrong(
        "main conditional=true guidance=classifier_outside guidance.weights=none.pt",
        ("guidance.weights is none.pt, which is no file",),
    ),
    Wrong(
        "main conditional=true guidance=classifier_outside guidance.network=noisy",
        ("guidance=classifier_outside guidance_network=noisy guidance.weights=PATH",),
    ),
    Wrong(
        "main metrics=none scores=[fid]",
        ("scores is of samples, and metrics=none", "add metrics=standard", "--set metrics=standard"),
    ),
    Wrong(
        "main model=consistency init.run_dir=nosuch",
        ("init.run_dir is nosuch, which is not a directory",),
    ),
    Wrong("main guidance=auto", ("guidance.guide.run_dir has no value", "VALUE, the directory of the run")),
    Wrong("main guidance=classifier_of_run", ("guidance.classifier.run_dir has no value",)),
    Wrong("main model=cascade base_model=run", ("base_model.run_dir has no value",)),
    Wrong("main model=cascade base=flow", ("does not accept base", "Did you mean base_model?")),
    Wrong("main model=gan criterion=wasserstein penalty=none", ("criterion=wasserstein", "penalty=gradient")),
    # Objects and keys.
    Wrong("main +foo=1", ("foo is unknown", "beside the groups there are name, seed")),
    Wrong("main +model.foo=1", ("model.foo is unknown", "Diffusion takes shape")),
    Wrong("main +network._args_=[1]", ("network._args_ is unknown",)),
    Wrong("main network._target_=os.system", ("'os.system'", "must start with one of genbench.")),
    Wrong("main 'seed=${foo}'", ("seed refers to 'foo', and there is no such key",)),
    Wrong("main seed=1.5", ("seed is 1.5", "a whole number")),
    Wrong("main data=mnist data.root=[x]", ("data.root is ['x']", "data.root=\"'..'\"")),
    # The objective of a search, and the jobs of a sweep.
    Wrong("main objective=foo", ("objective is 'foo'", "choose from fid")),
    Wrong("main scores=[fid] objective=kid", ("does not measure", "choose from fid", "use scores=[kid]")),
    Wrong("main metrics=none objective=fid", ("does not measure", "use metrics=standard")),
    Wrong("main model=gan objective=bits_per_dim", ("does not measure", "another model")),
    Wrong("main -m objective=foo seed=0,1", ("all 2 jobs are refused", "objective is 'foo'")),
    Wrong("main -m foo=1,2", ("all 2 jobs are refused", "there is no key foo")),
    Wrong("main -m seed=range(0)", ("seed=range(0) gives no values",)),
    Wrong("main -m model=glob(zz*)", ("model=glob(zz*) gives no values",)),
    Wrong("main -m seed=interval(1,2)", ("seed=interval(1,2) is for a search", "list values")),
    Wrong("main -m hydra.run.dir=a,b", ("is a setting of Hydra", "give it one value")),
    # Options of the command.
    Wrong("main --hlep", ("--hlep", "Did you mean --help?")),
    Wrong("main -x", ("-x", "`python main.py --help`")),
    Wrong("main --cfg foo", ("'foo'", "'job', 'hydra', 'all'")),
    Wrong("main --info foo", ("'foo'", "'plugins'")),
    Wrong("main --config-name", ("--config-name", "expected one argument")),
    Wrong("main --config-name foo", ("--config-name is 'foo'", "leave it out")),
    Wrong("main --config-path foo", ("--config-path is not taken", "--config-dir")),
    Wrong("main --config-dir foo", ("--config-dir is 'foo'", "not a folder")),
    Wrong("main --config-dir file", ("--config-dir is 'file'", "not a folder"), given=file),
    Wrong("main --resolve", ("--resolve", "--cfg job")),
    Wrong("main --package foo --cfg job", ("--package is 'foo'", "trainer")),
    Wrong("main -m --cfg job", ("--cfg shows one configuration", "leave out -m")),
    Wrong("main --info --cfg job", ("give one of -m",)),
    Wrong("main -sc install=foo", ("install=bash",)),
    Wrong("main --help foo", ("--help foo", "there is no such group")),
    Wrong("main --help scheduel=cosine", ("--help scheduel=cosine", "Did you mean schedule?")),
    Wrong("main --help model=foo", ("foo is not an option of model", "autoencoder")),
    Wrong("main --help model=dppm", ("dppm is not an option of model", "Did you mean ddpm?")),
    Wrong("main --help sampler.steps", ("--help sampler.steps", "Keys are shown by --cfg job")),
)
