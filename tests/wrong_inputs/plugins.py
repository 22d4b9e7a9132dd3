"""Wrong words for the verbs of authors of plug-ins: new, check-family."""

from pathlib import Path

from tests.wrong_inputs import Wrong


def occupied(folder: Path) -> None:
    """Put a file where a plug-in is to be written."""
    (folder / "here").mkdir()
    (folder / "here" / "notes.txt").write_text("mine")


def careless_module(folder: Path) -> None:
    """Write a module with a class that is no family, one without its methods, one that needs a network."""
    (folder / "careless_family.py").write_text(
        "from genbench.generator import Generator, Loss\n"
        "class Plain: pass\n"
        "class Unfinished(Generator): pass\n"
        "class Needy(Generator):\n"
        "    def __init__(self, shape, num_classes=0, *, network): super().__init__(shape, num_classes)\n"
        "    def loss(self, x, y=None, *, phase='net', step=0): return Loss(x.mean(), {})\n"
        "    def sample(self, n, y=None, *, rng=None): return None\n"
    )


ROWS = (
    Wrong("genbench new family 3d --out new", ("NAME is '3d'", "begin with a letter")),
    Wrong("genbench new family My-Own --out new", ("NAME is 'My-Own'", "lower-case letters, digits")),
    Wrong("genbench new family class --out new", ("NAME is 'class'", "no word of Python")),
    Wrong("genbench new schedule cosine --out new", ("schedule=cosine is an option already", "another name")),
    Wrong(
        "genbench new family torch --out new", ("a module of this name is already installed", "another name")
    ),
    Wrong("genbench new score tests --out new", ("NAME is 'tests'", "another name")),
    Wrong("genbench new score is_std --out new", ("NAME is 'is_std'", "no ending _std")),
    Wrong("genbench new score recall --out new", ("a kind of metric of genbench already",)),
    Wrong("genbench new family mine --out here", ("--out here", "not an empty folder"), occupied),
    Wrong("genbench check-family nothing", ("the family is 'nothing'", "module.Class", "model=NAME")),
    Wrong(
        "genbench check-family no_such_module.Family",
        ("No module named 'no_such_module'", "model=NAME", "--config-dir DIR"),
    ),
    Wrong("genbench check-family model=ddpmm", ("ddpmm", "Did you mean ddpm?")),
    Wrong("genbench check-family model=ddpm network.widht=8", ("network.widht", "near: network.width")),
    Wrong(
        "genbench check-family careless_family.Plain",
        ("it is no family", "genbench.generator.Generator"),
        careless_module,
    ),
    Wrong(
        "genbench check-family careless_family.Unfinished",
        ("abstract class Unfinished", "loss, sample"),
        careless_module,
    ),
    Wrong(
        "genbench check-family careless_family.Needy",
        ("cannot be built", "network"),
        careless_module,
    ),
    Wrong(
        "genbench check-family careless_family.Needy model.netwrok=1",
        ("model.netwrok is unknown", "takes shape, num_classes, network"),
        careless_module,
    ),
    Wrong(
        "genbench check-family careless_family.Needy network=1",
        ("network=1 must be model.KEY=VALUE",),
        careless_module,
    ),
)
