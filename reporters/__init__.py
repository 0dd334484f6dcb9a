"""Reporters: from a finding to the artifacts that people and programs read. They see the finding, nothing else."""
