"""Sub-commands of onnx-reduce: one file each, registered in cli.py in one line each and imported when called."""
