"""Ways in which a program computes: device, precision, randomness, processes, progress, stopping.

Imports nothing of genbench but `errors`; knows no model, no data and no metric.
"""
