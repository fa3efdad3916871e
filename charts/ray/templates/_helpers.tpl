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
# What "kubectl describe raycluster" shows; patched to count what happens again.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What it may do in its own namespace: hold the Lease by which one of several operators is elected. */}}
{{- define "ray.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [ray-operator]
  verbs: [get, update]
{{- end -}}

{{/* On each of the operator's objects: by it they are found where Helm has lost its record of the release. */}}
{{- define "ray.operatorLabels" -}}
cluster.ray.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The operator's pod template and the rest of its Deployment's spec. */}}
{{- define "ray.operatorSpec" -}}
replicas: {{ .Values.operatorReplicas }}
# One of several leads, by its Lease; a new one is ready once its caches are warm, and the old one gives the Lease up.
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxUnavailable: 0
    maxSurge: 1
selector:
  matchLabels:
    cluster.ray.io/component: operator
template:
  metadata:
    labels:
      cluster.ray.io/component: operator
    {{- if .Values.monitoring.scrapeAnnotations }}
    annotations:
      prometheus.io/scrape: "true"
      prometheus.io/port: "8080"
      {{- if .Values.metricsTlsSecret }}
      prometheus.io/scheme: https
      {{- end }}
    {{- end }}
  spec:
    # Where there are several, rather not on one machine.
    topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector:
          matchLabels:
            cluster.ray.io/component: operator
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
        args:
          - --leader-elect
          - --metrics-address=8080
          - --log-format={{ .Values.operatorLogFormat }}
          {{- if .Values.metricsTlsSecret }}
          - --metrics-certificate=/tls/tls.crt
          - --metrics-key=/tls/tls.key
          {{- end }}
        ports:
          - name: metrics
            containerPort: 8080
        # Its caches are complete, whether it leads or stands by.
        readinessProbe:
          httpGet:
            path: /readyz
            port: metrics
            {{- include "ray.metricsScheme" . | nindent 12 }}
          periodSeconds: 2
          timeoutSeconds: 5
        # Each of its loops has turned lately.
        livenessProbe:
          httpGet:
            path: /livez
            port: metrics
            {{- include "ray.metricsScheme" . | nindent 12 }}
          periodSeconds: 10
          timeoutSeconds: 5
          failureThreshold: 6
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
        {{- if .Values.metricsTlsSecret }}
        volumeMounts:
          - name: tls
            mountPath: /tls
            readOnly: true
        {{- end }}
    {{- with .Values.metricsTlsSecret }}
    volumes:
      - name: tls
        secret:
          secretName: {{ . }}
    {{- end }}
{{- end -}}

{{- define "ray.metricsScheme" -}}
scheme: {{ if .Values.metricsTlsSecret }}HTTPS{{ else }}HTTP{{ end }}
{{- end -}}
