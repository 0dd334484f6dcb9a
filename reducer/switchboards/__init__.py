"""What can be switched off in a tool that rewrites models. One file each."""
