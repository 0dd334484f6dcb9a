"""Kinds of source: what the user may name. One light file each, imported before anything else."""
