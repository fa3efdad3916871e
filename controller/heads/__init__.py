"""The Ray heads of all clusters: which head belongs to which cluster, its state, and what is sent to it."""
