"""Wrong words on the command line of main.py: keys, options, groups, names and directories."""

from tests.wrong_inputs import Wrong

ROWS = (
    Wrong("main seed=-1", ("seed is -1", "at least 0")),
    Wrong("main model=ddpmm", ("ddpmm", "choose from autoencoder", "Did you mean ddpm?")),
)
