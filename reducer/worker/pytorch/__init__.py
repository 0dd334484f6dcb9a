"""PyTorch in the worker: loading the user's model, capturing its graph, cutting it, exporting and judging the cuts."""
