"""A local Kubernetes cluster and the container images for it, without Docker."""
