"""Scores of samples against real images, one file a score.

Know features and reference statistics, and neither models nor how samples were drawn.
"""
