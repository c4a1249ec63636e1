"""Stems and what was heard in them, in the files of other programs."""
