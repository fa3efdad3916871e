{{/* What the operator may do, the same for a ClusterRole and a Role. Each verb is one it uses. */}}
{{- define "ray.operatorRules" -}}
# The desired state, written by users alone. list, watch: all there is. get: is the cluster still there, before anything
# is made for it?
- apiGroups: [cluster.ray.io]
  resources: [rayclusters]
  verbs: [get, list, watch]
# patch: the observed state.
- apiGroups: [cluster.ray.io]
  resources: [rayclusters/status]
  verbs: [patch]
# update: owner references that block the owner's deletion are allowed to those who may finalize it, where the API
# server has the admission plugin OwnerReferencesPermissionEnforcement.
- apiGroups: [cluster.ray.io]
  resources: [rayclusters/finalizers]
  verbs: [update]
# Ray nodes. list, watch: those there are. create, delete: scaling. get: the owner of a pod whose name is taken.
# patch: the head's address on workers.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# Head Services. list, watch: those there are. create: a new cluster's. patch: put an edited one right.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch]
# Volumes of RayClusters with headRecovery.storage. list, watch: the claims there are. create: a new cluster's. get: whose
# is a claim whose name is taken? patch: take over one that is there, release one that is to stay, grow.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
# What "kubectl describe raycluster" shows. create: say it. patch: count what happens again.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What it may do in its own namespace: hold the Lease by which one of several operators is elected. */}}
{{- define "ray.leaseRules" -}}
# create cannot be limited to a name. get: who leads? update: take the lead, renew it, give it up.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [ray-operator]
  verbs: [get, update]
{{- end -}}
