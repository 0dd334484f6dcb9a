"""Reduction passes: one file each. A pass proposes edits; it knows neither search nor process."""
