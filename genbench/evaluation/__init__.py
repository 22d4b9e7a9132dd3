"""The one evaluation for all families, held-out images and images from elsewhere; pictures of samples.

Knows the contract in `generator`, data and metrics, and no family.
"""
