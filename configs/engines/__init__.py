"""Profiles of serving engines (docs/serving.md)."""
