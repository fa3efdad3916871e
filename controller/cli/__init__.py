"""The commands that read files and need no Kubernetes: validate, render, simulate."""
