"""The configuration's groups, options and schema, and the help about them.

Knows constructors by their annotations alone; imports nothing else of genbench but `errors`.
"""
