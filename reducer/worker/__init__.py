"""The isolated worker: its host in the parent, and the child that alone opens models."""
