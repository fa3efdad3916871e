{{/* The sum of all pod types' maxWorkers. */}}
{{- define "ray.clusterMaxWorkers" -}}
{{- $total := 0 -}}
{{- range .Values.podTypes -}}
{{- $total = add $total (.maxWorkers | default 0) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* What the operator may do, the same for a ClusterRole and a Role. Each verb is one it uses. */}}
{{- define "ray.operatorRules" -}}
# The desired state, written by users alone. get: is the cluster still there, before anything is made for it?
- apiGroups: [cluster.ray.io]
  resources: [rayclusters]
  verbs: [get, list, watch]
# The observed state.
- apiGroups: [cluster.ray.io]
  resources: [rayclusters/status]
  verbs: [patch]
# Owner references that block the owner's deletion: asked for where that admission plugin is on.
- apiGroups: [cluster.ray.io]
  resources: [rayclusters/finalizers]
  verbs: [update]
# Ray nodes. get: whose is a pod whose name is taken? patch: tell a worker its head.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# Head Services.
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, create, patch]
# What "kubectl describe raycluster" shows.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* On each of the operator's objects: by it they are found where Helm has lost its record of the release. */}}
{{- define "ray.operatorLabels" -}}
cluster.ray.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The operator's pod template and the rest of its Deployment's spec. */}}
{{- define "ray.operatorSpec" -}}
replicas: 1
# Two operators at a time would do everything twice.
strategy:
  type: Recreate
selector:
  matchLabels:
    cluster.ray.io/component: operator
template:
  metadata:
    labels:
      cluster.ray.io/component: operator
  spec:
    serviceAccountName: ray-operator-serviceaccount
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      seccompProfile:
        type: RuntimeDefault
    containers:
      - name: ray
        image: {{ .Values.operatorImage | quote }}
        imagePullPolicy: IfNotPresent
        command: [ray-operator]
        {{- if .Values.namespacedOperator }}
        env:
          - name: RAY_OPERATOR_POD_NAMESPACE
            valueFrom:
              fieldRef:
                fieldPath: metadata.namespace
        {{- end }}
        resources:
          requests:
            cpu: 100m
            memory: 256Mi
          limits:
            cpu: "1"
            memory: 256Mi
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
{{- end -}}
