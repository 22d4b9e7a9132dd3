"""Figures of the documentation: the data flow of each family, drawn from trained runs by the real modules.

`python -m docs_tools.figures RUNS --out docs/img` draws all of them anew; pages show the files.
"""
