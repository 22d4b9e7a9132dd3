"""One run from start to result, its parts, and what it would cost.

Puts together training, evaluation, records and trackers; knows neither Hydra nor a family.
"""
