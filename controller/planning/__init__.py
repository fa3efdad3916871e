"""Decides what to do about one RayCluster, from what is observed to typed actions. Pure."""
