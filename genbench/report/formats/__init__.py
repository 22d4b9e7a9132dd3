"""Formats in which a comparison or one result is written: terminal, Markdown, LaTeX, CSV and JSON.

They know tables and footnotes, and no runs or records.
"""
