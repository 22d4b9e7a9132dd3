"""Distributions and distances that several families share.

Imports nothing of genbench but `runtime.global_batch`.
"""
