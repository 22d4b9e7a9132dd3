"""The one training loop for all families, and its parts: budget, EMA, learning-rate schedule, checkpoints.

Knows the contract of `generator` and never a family.
"""
