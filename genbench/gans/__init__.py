"""The mathematics of adversarial training: criteria, gradient penalties, augmentation, networks' contracts.

Imports nothing of genbench but `probability` and the batch statistics of `runtime`.
"""
