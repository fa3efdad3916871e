"""What the benchmark of bursts is made of: a control plane, a bare client, the operator as a process, scenarios."""
