"""Composition roots: one file per kind of source, each the data path from settings to a Finding."""
