{{/* What the operator may do, the same for a ClusterRole and a Role. Each verb is one it uses. */}}
{{- define "ray.operatorRules" -}}
# The desired state, written by users alone. list, watch: all there is. get: is the cluster still there, before anything
# is made for it? delete: one with idleTermination.action Delete that nothing uses.
- apiGroups: [cluster.ray.io]
  resources: [rayclusters]
  verbs: [get, list, watch, delete]
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
# is a claim whose name is taken? patch: take over one that is there, release one that is to stay, grow. delete: never
# asked for; the admission plugin OwnerReferencesPermissionEnforcement lets only those change an owner who may delete.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
# Jobs that delete the keys of RayClusters with headRecovery.redis. list, watch: those there are. create: a new cluster's.
# patch: let it run once the cluster is gone. delete: the spec has changed.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, patch, delete]
# What "kubectl describe raycluster" shows. create: say it. patch: count what happens again.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- range .Values.gangObjects }}
# Of the gangs of RayClusters with spec.gang.objects. create: before a gang's pods. get: whose is one whose name is taken?
# list: those there are, once the operator has started. delete: the gang has no pods any more.
- apiGroups: [{{ regexReplaceAll "^[^.]*[.]" . "" }}]
  resources: [{{ splitList "." . | first }}]
  verbs: [get, list, create, delete]
{{- end }}
{{- end -}}

{{/* What it may do besides where it manages all namespaces: see which nodes are being emptied. */}}
{{- define "ray.nodeRules" -}}
# list, watch: deletionTimestamp and taints. Without them a worker is drained once the end of its own pod is announced.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{/* What it may do in its own namespace: hold the Lease by which one of several operators is elected. */}}
{{- define "ray.leaseRules" -}}
# create cannot be limited to a name. get: who leads? update: take the lead, renew it, give it up.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  {{- if gt (int .Values.operatorShards) 1 }}
  # list: which operator holds which part?
  verbs: [create, list]
  {{- else }}
  verbs: [create]
  {{- end }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  {{- if gt (int .Values.operatorShards) 1 }}
  resourceNames:
    - ray-operator
    - ray-operator-wanted
    {{- range until 16 }}
    - ray-operator-part-{{ . }}
    {{- end }}
  {{- else }}
  resourceNames: [ray-operator]
  {{- end }}
  verbs: [get, update]
{{- end -}}
