"""Systems under test. One file each; a backend's framework is imported only when it is opened, in the worker."""
