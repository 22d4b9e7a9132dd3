"""The one training loop for all families: budget, EMA, learning-rate schedule, checkpoints, faults.

Knows the contract in `generator` and the store of images, and no family.
"""
