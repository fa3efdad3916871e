"""etcd and the Kubernetes control plane, with the certificates and objects that they need."""
