"""docs/architecture.md and its figure have every folder of the package."""

import pytest

from docs_tools.layers import colour, imported, layers
from tests.documents.pages import text_of
from tests.test_imports import FOLDERS, edges


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_page_says_what_a_folder_is_for(folder: str) -> None:
    (line,) = [
        line for line in text_of("docs/architecture.md").splitlines() if f"| `genbench/{folder}/`" in line
    ] or [line for line in text_of("docs/architecture.md").splitlines() if f", `genbench/{folder}/`" in line]
    assert line.startswith("| `genbench/")


def test_the_figure_has_every_folder_above_all_that_it_imports() -> None:
    height = {name: number for number, row in enumerate(layers(imported())) for name in row}
    assert set(height) == {*FOLDERS, "generator", "errors"}
    for importer, targets in edges(folders=True).items():
        for target in targets & height.keys():
            if importer in height:
                assert height[target] < height[importer], (importer, target)
    assert all(map(colour, height))
