"""The families of generative models, one file each, behind the contract in `generator`.

A family puts together the mathematics of its folder; it knows no other family, no training, data or metric.
"""
