"""Metrics, health, the HTTP port and the status page. Nothing below this wing knows that it exists."""
