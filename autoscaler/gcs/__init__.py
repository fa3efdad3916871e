"""Talks to the GCS of Ray heads: state, drains and reports, over gRPC."""
