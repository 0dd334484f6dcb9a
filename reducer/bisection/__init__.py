"""Since which release does it fail, and until which: the reduced model under released versions of a package."""
