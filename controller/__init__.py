"""The Kubernetes side of the operator."""
