{{/* The sum of all pod types' maxWorkers. */}}
{{- define "ray.clusterMaxWorkers" -}}
{{- $total := 0 -}}
{{- range .Values.podTypes -}}
{{- $total = add $total (.maxWorkers | default 0) -}}
{{- end -}}
{{- $total -}}
{{- end -}}

{{/* Whether the release holds the operator, and a Ray cluster: "true" or nothing. */}}
{{- define "ray.hasOperator" -}}
{{- if not .Values.clusterOnly }}true{{ end -}}
{{- end -}}
{{- define "ray.hasCluster" -}}
{{- if not .Values.operatorOnly }}true{{ end -}}
{{- end -}}

{{/* Where the operator runs. */}}
{{- define "ray.operatorNamespace" -}}
{{- if .Values.namespacedOperator }}{{ .Release.Namespace }}{{ else }}{{ .Values.operatorNamespace }}{{ end -}}
{{- end -}}

{{/* On each of the operator's objects: by it they are found where Helm has lost its record of the release. */}}
{{- define "ray.operatorLabels" -}}
cluster.ray.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The operator's service account, as the subject of a binding. */}}
{{- define "ray.operatorSubject" -}}
- kind: ServiceAccount
  name: ray-operator-serviceaccount
  namespace: {{ include "ray.operatorNamespace" . }}
{{- end -}}

{{/* CPUs and GPUs of a pod type. numCPU and numGPU come from values files of Ray 1.4: values.yaml has none. */}}
{{- define "ray.cpus" -}}
{{- if hasKey . "numCPU" }}{{ .numCPU }}{{ else if hasKey . "CPU" }}{{ .CPU }}{{ end -}}
{{- end -}}
{{- define "ray.gpus" -}}
{{- if hasKey . "numGPU" }}{{ .numGPU }}{{ else }}{{ .GPU | default 0 }}{{ end -}}
{{- end -}}
