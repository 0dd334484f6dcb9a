"""Trackers: where a draft can go. One file each, found by scanning; its layout is templates/issue/<name>.md.j2."""
