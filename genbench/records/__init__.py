"""Files that a run leaves: run directory, identity, metric names, sweep ledger; safe ways to read them.

Imports `errors` and `runtime` alone, and no torch.
"""
