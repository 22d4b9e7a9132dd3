"""The mathematics of diffusion and flow matching: processes, samplers, solvers, guidance, densities.

Imports nothing of genbench but `probability` and the batch statistics of `runtime`.
"""
