"""Programs: the graphs under reduction. Immutable values that can be cut into smaller valid programs."""
