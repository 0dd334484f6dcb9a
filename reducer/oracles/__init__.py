"""Oracles: does a candidate still fail in the same way? They ask the worker and know signatures."""
