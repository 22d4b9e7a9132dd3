"""Locked protocols: files that fix data, budget, scores and seeds, checks of runs against them, submissions
of runs that pass, and leaderboards of submissions. Imports `records` and the rest of `report`.
"""
