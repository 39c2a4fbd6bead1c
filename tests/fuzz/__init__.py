"""Fuzzing of the parsers of diff and export streams; see targets.py and __main__.py."""
