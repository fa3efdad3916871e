"""The status of one RayCluster, from what is observed and planned. Pure."""
