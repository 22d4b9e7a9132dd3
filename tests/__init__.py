"""A package by name, since torch-fidelity installs a `tests` of its own, which would be found before ours."""
