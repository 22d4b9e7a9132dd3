"""The mathematics of variational autoencoders: bounds, pixel likelihoods, codebooks.

Imports nothing of genbench but `probability` and the batch statistics of `runtime`.
"""
