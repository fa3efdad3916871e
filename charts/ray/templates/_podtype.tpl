{{/* A pod's and a container's securityContext: what "restricted" asks for, and what the pod type says over it. */}}
{{- define "ray.podSecurity" -}}
{{- $asked := dict -}}
{{- if .restricted }}{{ $asked = dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}{{ end -}}
{{- with mergeOverwrite $asked (.type.podSecurityContext | default dict) -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
{{- define "ray.containerSecurity" -}}
{{- $asked := dict -}}
{{- if .restricted -}}
{{- $asked = dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) -}}
{{- end -}}
{{- with mergeOverwrite $asked (.type.securityContext | default dict) -}}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* What a pod type asks for: CPU, memory and GPU, requested and limited, and its resources over them. */}}
{{- define "ray.resources" -}}
{{- $cpus := include "ray.cpus" . -}}
{{- $requests := dict "cpu" $cpus "memory" .memory -}}
{{- $limits := dict "cpu" $cpus "memory" .memory -}}
{{- $gpus := include "ray.gpus" . -}}
{{- if ne $gpus "0" }}{{ $_ := set $limits "nvidia.com/gpu" $gpus }}{{ end -}}
{{- $more := .resources | default dict -}}
requests:
  {{- toYaml (mergeOverwrite $requests ($more.requests | default dict)) | nindent 2 }}
limits:
  {{- toYaml (mergeOverwrite $limits ($more.limits | default dict)) | nindent 2 }}
{{- end -}}

{{/* A pod's metadata: name, labels, annotations. */}}
{{- define "ray.podMetadata" -}}
generateName: {{ printf "%s-" (.name | kebabcase) | quote }}
{{- with .type.labels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $annotations := dict -}}
{{- if .root.Values.monitoring.scrapeAnnotations -}}
{{- $annotations = dict "prometheus.io/scrape" "true" "prometheus.io/port" "8080" -}}
{{- end -}}
{{- with mergeOverwrite $annotations (.type.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The pods of one type, without their metadata: a dict of type and root is given. A field of podSpec replaces what is
     made of the other values, and a field of container one of Ray's container. */}}
{{- define "ray.podSpec" -}}
{{- $made := include "ray.madePodSpec" . -}}
{{- if or .type.podSpec .type.container -}}
{{- $made = $made | fromYaml -}}
{{- range $field, $value := .type.podSpec }}{{ $_ := set $made $field $value }}{{ end -}}
{{- $ray := first $made.containers -}}
{{- range $field, $value := .type.container -}}
{{- if eq $field "ports" }}{{ $value = include "ray.ports" (dict "usual" $ray.ports "more" $value) | fromYamlArray }}{{ end -}}
{{- $_ := set $ray $field $value -}}
{{- end -}}
{{- toYaml $made -}}
{{- else -}}
{{- $made -}}
{{- end -}}
{{- end -}}

{{/* Ports of Ray's container: those of the chart, and more. One of the same number and protocol replaces the chart's. */}}
{{- define "ray.ports" -}}
{{- $given := list -}}
{{- range .more }}{{ $given = append $given (printf "%d/%s" (int .containerPort) (.protocol | default "TCP")) }}{{ end -}}
{{- $ports := list -}}
{{- range .usual -}}
{{- if not (has (printf "%d/TCP" (int .containerPort)) $given) }}{{ $ports = append $ports . }}{{ end -}}
{{- end -}}
{{- concat $ports .more | toYaml -}}
{{- end -}}

{{- define "ray.madePodSpec" -}}
{{- $security := dict "restricted" .root.Values.restricted "type" .type -}}
restartPolicy: Never
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .type.serviceAccountName }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- if hasKey .type "automountServiceAccountToken" }}
automountServiceAccountToken: {{ .type.automountServiceAccountToken }}
{{- else if .type.serviceAccountName }}
automountServiceAccountToken: true
{{- end }}
{{- with .type.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .type.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .type.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .type.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .type.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .type.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "ray.podSecurity" $security }}
{{ . }}
{{- end }}
# Ray shares objects between processes here; a container's usual 64 MB are too small.
volumes:
  - name: dshm
    emptyDir:
      medium: Memory
      {{- with .type.shmSize }}
      sizeLimit: {{ . | quote }}
      {{- end }}
  {{- with .type.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .type.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: ray-node
    image: {{ .type.image | default .root.Values.image | quote }}
    imagePullPolicy: {{ .type.imagePullPolicy | default "IfNotPresent" }}
    {{- with .type.env }}
    env:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .type.envFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
      - containerPort: 6379
      - containerPort: 10001
      - containerPort: 8265
      - containerPort: 8000
      # Ray's own metrics of this node.
      - name: metrics
        containerPort: 8080
    volumeMounts:
      - name: dshm
        mountPath: /dev/shm
      {{- with .type.volumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    resources:
      {{- include "ray.resources" .type | nindent 6 }}
    {{- with include "ray.containerSecurity" $security }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- with .type.sidecars }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
