"""Autoregressive models: distributions of a pixel, and the contract of causal networks.

Imports nothing of genbench but `probability` and the batch statistics of `runtime`.
"""
