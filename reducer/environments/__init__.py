"""Interpreters with other releases installed: made once, kept in a cache, used by `--with`, `--python` and bisect."""
