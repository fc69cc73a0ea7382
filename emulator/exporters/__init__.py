"""Calibrations in other tools' formats: one file per target, each with a statement of what the target loses."""
