"""From KubeRay's ``ray.io`` objects to a RayCluster of this operator and the objects beside it. Pure."""
