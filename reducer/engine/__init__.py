"""The engine: search, budget, cache, passes. Knows oracles by protocol; never a process, backend or program kind."""
