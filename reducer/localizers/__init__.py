"""Localizers: suspects with evidence that a maintainer can check. One file each."""
