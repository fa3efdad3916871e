"""One pass over one RayCluster: observe, plan, apply, report."""
