"""How the parts of a running operator are put together."""
