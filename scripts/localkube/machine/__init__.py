"""What a cluster needs of this machine: programs, processes, namespaces, control groups."""
