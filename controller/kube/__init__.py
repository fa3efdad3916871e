"""The connection to the Kubernetes API: client, watches, store, work queue, Events and the leader's Lease."""
