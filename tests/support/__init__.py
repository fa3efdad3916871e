"""What tests on real Kubernetes share."""
