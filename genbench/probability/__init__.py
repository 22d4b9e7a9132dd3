"""Distributions and distances that several families share: discretised densities, Gaussians, l1, l2, Huber.

Imports nothing of genbench but the batch statistics of `runtime`.
"""
