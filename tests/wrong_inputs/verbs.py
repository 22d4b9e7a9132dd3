"""Wrong uses of the verbs: options, arguments, runs and columns that are not there or do not fit."""

from tests.wrong_inputs import Wrong

WORDS = (
    Wrong("genbench repotr", ("'repotr' is no verb", "choose from sample", "Did you mean report?")),
    Wrong("genbench --verison", ("--verison is no option", "Did you mean --version?")),
    Wrong("genbench report", ("needs RUNS_DIR", "genbench report --help")),
    Wrong("genbench report x y z", ("takes RUNS_DIR", "no place for y z")),
    Wrong("genbench report x --asets", ("--asets is no option of genbench report", "Did you mean --assets?")),
    Wrong("genbench report x --assets=1", ("--assets takes no value",)),
    Wrong("genbench report x --by", ("--by needs a value",)),
    Wrong("genbench report x --format pdf", ("--format is 'pdf'", "choose from md, csv, json, latex, html")),
    Wrong("genbench compare", ("needs A",)),
    Wrong("genbench compare a", ("needs B",)),
    Wrong("genbench compare a b c", ("takes A and B", "no place for c")),
    Wrong("genbench evaluate", ("needs TARGET",)),
    Wrong("genbench sample", ("needs RUN_DIR",)),
    Wrong("genbench sample run", ("needs --out", "must be new or empty")),
    Wrong("genbench sample run --out x --n 0", ("--n is '0'", "a whole number of at least 1")),
    Wrong("genbench sample run --out x --n 1.5", ("--n is '1.5'", "a whole number of at least 1")),
    Wrong("genbench sample run --out x --label cat", ("--label is 'cat'", "a whole number")),
    Wrong("genbench sample run --out x --strength much", ("--strength is 'much'", "a number")),
    Wrong("genbench sample run --out x --weights last", ("--weights is 'last'", "choose from ema, raw")),
    Wrong("genbench sample run --out x --seed -1", ("--seed is '-1'", "at least 0")),
    Wrong("genbench sampler-sweep run --out x --n 5", ("--n is '5'", "at least 20")),
    Wrong(
        "genbench sampler_sweep run --out x", ("'sampler_sweep' is no verb", "Did you mean sampler-sweep?")
    ),
    Wrong("genbench bound run", ("needs --out",)),
    Wrong("genbench schedules", ("needs --out", "Output file")),
    Wrong("genbench schedules --out x.png --T many", ("--T is 'many'", "a whole number of at least 1")),
    Wrong("genbench serve x --port 70000", ("--port is '70000'", "from 0 to 65535")),
    Wrong("genbench dashboard", ("needs --project",)),
)

ROWS = (*WORDS,)
