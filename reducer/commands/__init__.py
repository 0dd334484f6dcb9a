"""Sub-commands: one file each, named once in cli.py and imported only when they are called."""
