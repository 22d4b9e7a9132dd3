"""The published benchmark: its plan, its runs, the records kept of them, and the pages made of these.

`python -m benchmarks.publish` executes what is missing and writes the pages; `--list` says what is left.
"""
