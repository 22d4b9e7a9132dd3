"""Tests that hold the words of README.md, CONTRIBUTING.md and docs/ to the behaviour of the code."""
