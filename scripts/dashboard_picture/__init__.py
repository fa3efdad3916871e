"""The dashboard as a picture: parts that run, the answers of Prometheus, and a page in the style of Grafana."""
