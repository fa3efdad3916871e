{{/* Labels of the operator's objects: by the first they are found where Helm has lost its record of the release. */}}
{{- define "ray.operatorLabels" -}}
{{- $own := include "ray.operatorOwnLabels" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (include "ray.chart" .) -}}
{{- mergeOverwrite (dict) .Values.commonLabels $own | toYaml -}}
{{- end -}}

{{/* Labels of the operator's pods, without the chart's version: that alone restarts no pod. */}}
{{- define "ray.operatorPodLabels" -}}
{{- $own := include "ray.operatorOwnLabels" . | fromYaml -}}
{{- mergeOverwrite (dict) .Values.commonLabels .Values.operatorPodLabels $own | toYaml -}}
{{- end -}}

{{- define "ray.operatorOwnLabels" -}}
cluster.ray.io/component: operator
app.kubernetes.io/name: {{ .Values.nameOverride | default "ray-operator" | quote }}
app.kubernetes.io/component: operator
{{ include "ray.releaseLabels" . }}
{{- end -}}

{{/* Labels of the objects of the Ray cluster. */}}
{{- define "ray.clusterLabels" -}}
{{- $own := dict "app.kubernetes.io/name" "ray" "app.kubernetes.io/component" "cluster" -}}
{{- $_ := set $own "helm.sh/chart" (include "ray.chart" .) -}}
{{- $own = mergeOverwrite $own (include "ray.releaseLabels" . | fromYaml) -}}
{{- mergeOverwrite (dict) (omit .Values.commonLabels "cluster.ray.io/component") $own | toYaml -}}
{{- end -}}

{{- define "ray.releaseLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: ray
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end -}}

{{- define "ray.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The annotations of an object: those of all of them, and its own over them. A dict of root and own is given. */}}
{{- define "ray.annotations" -}}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (.own | default dict) -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Name, namespace, labels and annotations of one of the operator's objects. A dict of root, name and perhaps namespace
     ("" for none), own (annotations) is given. */}}
{{- define "ray.operatorMetadata" -}}
name: {{ .name | quote }}
{{- $namespace := ternary .namespace (include "ray.operatorNamespace" .root) (hasKey . "namespace") }}
{{- with $namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- include "ray.operatorLabels" .root | nindent 2 }}
{{- with include "ray.annotations" . }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Of the pods of helm test. A dict of root and of (what is tested) is given. */}}
{{- define "ray.testLabels" -}}
{{- $own := dict "app.kubernetes.io/name" .of "app.kubernetes.io/component" "test" -}}
{{- $_ := set $own "helm.sh/chart" (include "ray.chart" .root) -}}
{{- $own = mergeOverwrite $own (include "ray.releaseLabels" .root | fromYaml) -}}
{{- mergeOverwrite (dict) (omit .root.Values.commonLabels "cluster.ray.io/component") $own | toYaml -}}
{{- end -}}

{{- define "ray.testAnnotations" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}
