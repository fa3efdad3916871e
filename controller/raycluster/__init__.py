"""The RayCluster format: its schema, what is valid, and what its pod types mean to Ray. Pure."""
