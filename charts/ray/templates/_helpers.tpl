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
{{- if .Values.namespacedOperator }}{{ .Release.Namespace }}{{ else }}{{ .Values.operatorNamespace | default "default" }}{{ end -}}
{{- end -}}

{{/* What the names of the operator's objects begin with. */}}
{{- define "ray.operatorName" -}}
{{- .Values.fullnameOverride | default "ray-operator" -}}
{{- end -}}

{{/* What the names of its rights begin with, whatever fullnameOverride is: Helm refuses a second operator where these names
     are taken, and so for the same namespaces or with the same Lease. */}}
{{- define "ray.rightsName" -}}
ray-operator
{{- end -}}

{{/* The operator's image: one reference, or repository with digest or tag. */}}
{{- define "ray.operatorImage" -}}
{{- if .Values.operatorImage -}}
{{- .Values.operatorImage -}}
{{- else if .Values.operatorImageDigest -}}
{{- printf "%s@%s" .Values.operatorImageRepository .Values.operatorImageDigest -}}
{{- else -}}
{{- printf "%s:%s" .Values.operatorImageRepository (.Values.operatorImageTag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* The operator's service account. */}}
{{- define "ray.serviceAccountName" -}}
{{- .Values.operatorServiceAccount.name | default (printf "%s-serviceaccount" (include "ray.operatorName" .)) -}}
{{- end -}}

{{/* It as the subject of a binding. */}}
{{- define "ray.operatorSubject" -}}
- kind: ServiceAccount
  name: {{ include "ray.serviceAccountName" . | quote }}
  namespace: {{ include "ray.operatorNamespace" . | quote }}
{{- end -}}

{{/* CPUs and GPUs of a pod type. numCPU and numGPU come from values files of Ray 1.4: values.yaml has none. */}}
{{- define "ray.cpus" -}}
{{- if hasKey . "numCPU" }}{{ .numCPU }}{{ else if hasKey . "CPU" }}{{ .CPU }}{{ end -}}
{{- end -}}
{{- define "ray.gpus" -}}
{{- if hasKey . "numGPU" }}{{ .numGPU }}{{ else }}{{ .GPU | default 0 }}{{ end -}}
{{- end -}}
