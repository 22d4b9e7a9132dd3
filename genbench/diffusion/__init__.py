"""The mathematics of diffusion and flow matching: processes, samplers, solvers, guidance, densities.

The notation stands in `schedule`. Imports nothing of genbench but `probability`, the batch statistics of
`runtime` and its own modules.
"""
