"""Wrong names, folders and variables of the environment, and passwords where a file would record them."""

import json
from pathlib import Path

from tests.wrong_inputs import Wrong

ADDRESS = "https://user:geheim@host/x"
SHOWN = "https://user:***@host/x"
NAME = "letters, digits, '.', '_', '-'"
TORCHRUN = (
    *(("TORCHELASTIC_RUN_ID", "x"), ("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")),
    *(("LOCAL_WORLD_SIZE", "1"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")),
)


def a_file(folder: Path) -> None:
    (folder / "file").write_text("not ours")


def a_link(folder: Path) -> None:
    """A link that leads nowhere."""
    (folder / "link").symlink_to("nowhere")


def a_loop(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")


def empty_folders(folder: Path) -> None:
    """Folders that were there before, and so remain."""
    (folder / "old" / "default").mkdir(parents=True)


def a_full_folder(folder: Path) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "file").write_text("not ours")


def a_result(folder: Path) -> None:
    path = folder / "runs" / "r" / "result.json"
    path.parent.mkdir(parents=True)
    metrics = {"fid[f,n=1,ref=train,ema]": 1.5}
    path.write_text(json.dumps({"genbench": "0.1.0", "choices": {"model": "ddpm"}, "metrics": metrics}))


NAMES = (
    Wrong(f"main name={'a' * 300}", ("name is 'aaa", "(303 characters)", "1 to 255", NAME)),
    Wrong("main name=null", ("name is None", "text", NAME)),
    Wrong("main name=", ("name is ''", NAME)),
    Wrong("main name=.", ("name is '.'", "not '.' first")),
    Wrong("main name=..", ("name is '..'", "not '.' first")),
    Wrong("main name=a/b", ("name is 'a/b'", NAME)),
    Wrong("main name=/abs", ("name is '/abs'", NAME)),
    Wrong("main name=~", ("name is '~'", NAME)),
    Wrong("main name=.sweeps", ("name is '.sweeps'", "not '.' first")),
    Wrong("main name=[a]", ("name is ['a']", "text", NAME)),
    Wrong("main name={a:1}", ("name is {'a': 1}", "text", NAME)),
    Wrong("main 'name=a b'", ("name is 'a b'", NAME)),
    Wrong("main 'name=a\nb'", (r"name is 'a\nb'", NAME)),
    Wrong("main 'name=a\x01b'", (r"name is 'a\x01b'", NAME)),
    Wrong("main 'name=a\u202eb'", (r"name is 'a\u202eb'", NAME)),
    Wrong("main name=ä", ("name is 'ä'", NAME)),
    Wrong("main 'name=${seed}'", ("name is 0", "text", NAME)),
    Wrong("main -m name=.. seed=1,2", ("all 2 jobs are refused", "name is '..'")),
)
FOLDERS = (
    Wrong("main seed=-3", ("seed is -3",), empty_folders),
    Wrong("main seed=-3 runs_dir=old", ("seed is -3",), empty_folders),
    Wrong("main seed=-3 hydra.run.dir=old/default", ("seed is -3",), empty_folders),
    Wrong("main seed=-3 hydra.run.dir=new/folder", ("seed is -3",)),
    Wrong("main runs_dir=", ("runs_dir is ''", "'.' is the current one")),
    Wrong("main runs_dir=null", ("runs_dir is None", "text")),
    Wrong("main runs_dir=[a]", ("runs_dir is ['a']", "text")),
    Wrong("main runs_dir=file", ("runs_dir is file", "Not a directory", "another place"), a_file),
    Wrong("main runs_dir=file/x", ("runs_dir is file/x", "Not a directory"), a_file),
    Wrong("main runs_dir=link", ("runs_dir is link", "Not a directory"), a_link),
    Wrong("main runs_dir=loop", ("runs_dir is loop", "Not a directory"), a_loop),
    Wrong("main runs_dir=/dev/null/x", ("Not a directory: /dev/null", "another place")),
    Wrong(f"main runs_dir={'a/' * 2500}", ("(5,001 characters)", "too long", "shorter name")),
    Wrong("main runs_dir=~/x", ("runs_dir is ~/x", "~ stands for no home", "whole path")),
    Wrong("main runs_dir=s3://bucket/x", ("s3://bucket/x", "a folder of this machine")),
    Wrong("main \"runs_dir='a\nb'\"", (r"runs_dir is 'a\nb'", "control characters")),
    Wrong("main hydra.run.dir=", ("hydra.run.dir= names no directory", "leave it out")),
    Wrong("main hydra.run.dir=file", ("hydra.run.dir is file", "Not a directory"), a_file),
    Wrong("main hydra.run.dir=loop", ("hydra.run.dir is loop", "Not a directory"), a_loop),
    Wrong("main hydra.run.dir=~/x", ("hydra.run.dir is ~/x", "whole path")),
    Wrong("main -m seed=1,2 hydra.sweep.dir=file", ("hydra.sweep.dir is file", "Not a directory"), a_file),
    Wrong("main -m seed=1,2 hydra.sweep.dir=", ("hydra.sweep.dir= names no directory", "leave it out")),
    Wrong("main -m seed=1,2 hydra.sweep.subdir=", ("hydra.sweep.subdir= names no directory", "leave it out")),
    Wrong("main -m seed=1,2 runs_dir=file", ("runs_dir is file", "Not a directory"), a_file),
    Wrong("main data=mnist data.root=", ("data.root is ''", "text or null")),
    Wrong(
        "main data=mnist data.root=2024", ("data.root is 2024, which does not hold mnist", "data.root=null")
    ),
    Wrong("main features.weights=", ("features.weights is ''", "text or null")),
    Wrong("main tracker.project=2024", ("tracker.project is 2024", "tracker.project=\"'2024'\"")),
    Wrong("main tracker=wandb tracker.project=a/b", ("tracker.project is 'a/b'", "without /")),
)
PASSWORDS = (
    Wrong(f"main data=mnist data.root={ADDRESS}", (f"data.root={SHOWN}", "record", "leave it out")),
    Wrong("main data.root=s3://KEY:geheim@bucket", ("s3://KEY:***@bucket", "leave it out")),
    Wrong("main 'features.weights=https://h/x?token=geheim'", ("https://h/x?token=***", "leave it out")),
    Wrong("main 'data.root=https://h/x?X-Amz-Signature=geheim'", ("X-Amz-Signature=***", "leave it out")),
    Wrong(
        "main +hydra.job.env_set.HF_TOKEN=geheim",
        ("hydra.job.env_set would write HF_TOKEN", "export HF_TOKEN=.."),
    ),
    Wrong("main 'hydra.job.env_set={HF_TOKEN: geheim}'", ("HF_TOKEN", "export HF_TOKEN=..")),
    Wrong("main hydra.sweeper.storage=postgresql://u:geheim@h/db", ("u:***@h/db", "${oc.env:NAME}")),
    Wrong("main +tracker.api_key=geheim", ("api_key=***", "leave it out")),
    Wrong(
        "main data=mnist 'data.root=${oc.env:DATA_ADDRESS}'",
        (f"data.root is {SHOWN}", "record", "leave it out"),
        env=(("DATA_ADDRESS", ADDRESS),),
    ),
    Wrong(f"genbench evaluate x --data mnist --data-root {ADDRESS}", (SHOWN, "leave it out")),
    Wrong(f"genbench evaluate x --set data.root={ADDRESS}", (f"data.root={SHOWN}", "leave it out")),
    Wrong(f"genbench report {ADDRESS}", (SHOWN, "leave it out")),
)
OUTS = (
    Wrong("genbench schedules --out x.xyz", ("--out x.xyz ends in .xyz", "choose from", "png", "svg")),
    Wrong("genbench schedules --out file/x.png", ("file/x.png cannot be written", "Not a directory"), a_file),
    Wrong("genbench schedules --out link/x.png", ("link/x.png cannot be written", "Not a directory"), a_link),
    Wrong("genbench schedules --out ~/x.png", ("--out is ~/x.png", "whole path")),
    Wrong("genbench sample runs/r --out full", ("--out full", "not an empty folder"), a_full_folder),
    Wrong("genbench sample runs/r --out s3://bucket/x", ("s3:/bucket/x", "no address")),
    Wrong("genbench bound runs/r --out file", ("--out file", "not an empty folder"), a_file),
    Wrong("genbench sampler-sweep runs/r --out file", ("--out file", "not an empty folder"), a_file),
    Wrong("genbench report runs --out x.pdf", ("--out x.pdf", ".md"), a_result),
    Wrong("genbench report runs --out ~/x.md", ("--out is ~/x.md", "whole path"), a_result),
    Wrong("genbench evaluate full --data digits --out ~/x", ("--out is ~/x", "whole path"), a_full_folder),
    Wrong("genbench dashboard --project '' --dry-run", ("--project is ''", "must name a project")),
    Wrong("genbench dashboard --project a/b --dry-run", ("--project is 'a/b'", "without /")),
    Wrong("genbench dashboard --project x --entity '' --dry-run", ("--entity is ''", "1 to 128")),
)
VERBS = (
    Wrong("genbench nope", ("'nope' is no verb", "choose from")),
    Wrong("genbench --nope", ("--nope is not an option of genbench", "choose from --version")),
    Wrong("genbench sample x", ("genbench sample needs --out", "genbench sample --help")),
    Wrong("genbench sample x --out", ("--out needs a value behind it", "--help")),
    Wrong("genbench sample x --out y --n 0", ("--n is '0'", "a whole number of at least 1")),
    Wrong("genbench sample x --out y --n a", ("--n is 'a'", "a whole number")),
    Wrong("genbench sample x --out y --weights z", ("--weights is 'z'", "choose from ema, best, raw")),
    Wrong("genbench serve runs --port 99999999", ("--port is '99999999'", "from 0 to 65535")),
    Wrong("genbench serve runs --port -1", ("--port is '-1'", "from 0 to 65535")),
    Wrong("genbench serve runs --host ''", ("--host is ''", "127.0.0.1"), a_result),
    Wrong("genbench serve runs --host 1.2.3.4", ("--host '1.2.3.4'", "an address of this machine"), a_result),
)
VARIABLES = (
    Wrong("main seed=4", ("RANK is 'a'", "whole number", "torchrun"), env=(*TORCHRUN, ("RANK", "a"))),
    Wrong("main seed=4", ("RANK is 5", "below WORLD_SIZE, which is 1"), env=(*TORCHRUN, ("RANK", "5"))),
    Wrong("main seed=4", ("MASTER_PORT is 'x'", "whole number"), env=(*TORCHRUN, ("MASTER_PORT", "x"))),
    Wrong("main seed=4", ("MASTER_ADDR is not set", "torchrun"), env=(*TORCHRUN, ("MASTER_ADDR", ""))),
    Wrong("main tracker=wandb", ("WANDB_MODE is 'foo'", "offline"), env=(("WANDB_MODE", "foo"),)),
    Wrong(
        "main model=vae metrics=none tracker=jsonl device=cpu precision=fp32",
        ("Not a directory", "GENBENCH_CACHE"),
        a_file,
        env=(("GENBENCH_CACHE", "file"),),
    ),
    Wrong(
        "main model=vae metrics=none tracker=jsonl device=cpu precision=fp32",
        (SHOWN, "GENBENCH_CACHE", "a folder of this machine"),
        env=(("GENBENCH_CACHE", ADDRESS),),
    ),
)
ROWS = (*NAMES, *FOLDERS, *PASSWORDS, *OUTS, *VERBS, *VARIABLES)
