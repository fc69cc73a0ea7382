"""Measurements made elsewhere as ordinary samples: one file per format, all of them end in the same records."""
