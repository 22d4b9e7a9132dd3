"""The one evaluation for all families, for held-out images and for images from elsewhere; pictures of samples.

Knows the contract of `generator`, data and metrics, and never a family.
"""
