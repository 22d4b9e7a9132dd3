"""The configuration's groups and options, the schema that constructors are, and the help about both.

Reads `conf/` and signatures; imports nothing of genbench but `errors`, and neither Hydra nor torch.
"""
