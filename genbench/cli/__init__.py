"""The console script `genbench VERB`: thin, and what a verb needs is imported when it runs.

Checks options, calls `app`, `evaluation` and `report`, and turns errors into one line and an exit code.
"""
