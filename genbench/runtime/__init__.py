"""Where and how a program computes: device, precision, compilation, random numbers, progress, stopping, processes.

Imports nothing of genbench but `errors`, and knows no model, no data and no metric.
"""
