"""Distributions, distances and records that several families share.

Discretised densities of 8-bit pixels, diagonal Gaussians, the distances l1, l2 and Huber, and `Loss`. Imports
nothing of genbench but the batch statistics of `runtime`.
"""
