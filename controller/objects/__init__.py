"""The Kubernetes objects of one RayCluster: how pods and the Service are built, and read back. Pure."""
