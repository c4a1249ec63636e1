"""Factorizations to look into: single components, other groupings, known sounds found again."""
