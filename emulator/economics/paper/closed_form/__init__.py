"""Formulas of the sources, each by itself: rooflines, caches, generation, prices."""
