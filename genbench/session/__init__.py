"""One run from start to result, and what it would cost.

Puts together training, evaluation, records and trackers; knows neither Hydra nor a family.
"""
