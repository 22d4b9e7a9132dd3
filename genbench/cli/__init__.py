"""The console script `genbench VERB`.

Thin: each verb checks its options, imports what it needs when it runs, and calls `app`, `evaluation` or `report`.
"""
