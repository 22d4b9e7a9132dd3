"""Files that a run leaves and how they are read: run directory, identity, metric names, the ledger of a sweep.

Imports `errors` and `runtime` alone, and no torch.
"""
