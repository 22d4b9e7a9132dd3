"""The mathematics of normalizing flows: transforms, couplings, dequantization, base distributions.

Imports nothing of genbench but `probability` and the batch statistics of `runtime`.
"""
