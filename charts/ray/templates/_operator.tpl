{{/* The operator's pod template and the rest of its Deployment's spec. */}}
{{- define "ray.operatorSpec" -}}
replicas: {{ if .Values.operatorReplicas }}{{ add .Values.operatorReplicas .Values.operatorShards -1 }}{{ else }}0{{ end }}
# One of several leads, by its Lease; a new one is ready once its caches are warm, and the old one gives the Lease up.
strategy:
  {{- $strategy := .Values.operatorUpdateStrategy }}
  {{- if eq $strategy.type "Recreate" }}{{ $strategy = omit $strategy "rollingUpdate" }}{{ end }}
  {{- toYaml $strategy | nindent 2 }}
# It cannot be changed in a Deployment that is there.
selector:
  matchLabels:
    cluster.ray.io/component: operator
template:
  metadata:
    labels:
      {{- include "ray.operatorPodLabels" . | nindent 6 }}
    {{- with include "ray.operatorPodAnnotations" . | fromYaml }}
    annotations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  spec:
    {{- with include "ray.operatorPlacement" . }}
    {{- . | trim | nindent 4 }}
    {{- end }}
    serviceAccountName: {{ include "ray.serviceAccountName" . | quote }}
    {{- with .Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.operatorPodSecurityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    containers:
      - name: ray
        image: {{ include "ray.operatorImage" . | quote }}
        imagePullPolicy: {{ .Values.operatorImagePullPolicy }}
        command: [ray-operator]
        args:
          - --leader-elect
          {{- if gt (int .Values.operatorShards) 1 }}
          - --shards={{ .Values.operatorShards }}
          {{- end }}
          {{- if not (or .Values.watchNodes .Values.namespacedOperator) }}
          - --watch-nodes=false
          {{- end }}
          {{- with .Values.gangObjects }}
          - --gang-objects={{ join "," . }}
          {{- end }}
          - --metrics-address=8080
          - --log-format={{ .Values.operatorLogFormat }}
          - --log-level={{ .Values.operatorLogLevel }}
          {{- if .Values.metricsTlsSecret }}
          - --metrics-certificate=/tls/tls.crt
          - --metrics-key=/tls/tls.key
          {{- end }}
          {{- range .Values.operatorExtraArgs }}
          - {{ . | quote }}
          {{- end }}
        ports:
          - name: metrics
            containerPort: 8080
        readinessProbe:
          httpGet:
            path: /readyz
            port: metrics
            {{- include "ray.metricsScheme" . | nindent 12 }}
          {{- toYaml .Values.operatorReadinessProbe | nindent 10 }}
        livenessProbe:
          httpGet:
            path: /livez
            port: metrics
            {{- include "ray.metricsScheme" . | nindent 12 }}
          {{- toYaml .Values.operatorLivenessProbe | nindent 10 }}
        {{- with include "ray.operatorEnvironment" . }}
        env:
          {{- . | trim | nindent 10 }}
        {{- end }}
        resources:
          {{- toYaml .Values.operatorResources | nindent 10 }}
        {{- with .Values.operatorSecurityContext }}
        securityContext:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with include "ray.operatorMounts" . }}
        volumeMounts:
          {{- . | trim | nindent 10 }}
        {{- end }}
    {{- with include "ray.operatorVolumes" . }}
    volumes:
      {{- . | trim | nindent 6 }}
    {{- end }}
{{- end -}}

{{- define "ray.operatorPodAnnotations" -}}
{{- $scraped := dict -}}
{{- if .Values.monitoring.scrapeAnnotations -}}
{{- $scraped = dict "prometheus.io/scrape" "true" "prometheus.io/port" "8080" -}}
{{- if .Values.metricsTlsSecret }}{{ $_ := set $scraped "prometheus.io/scheme" "https" }}{{ end -}}
{{- end -}}
{{- mergeOverwrite (dict) .Values.commonAnnotations $scraped .Values.operatorPodAnnotations | toYaml -}}
{{- end -}}

{{/* On which nodes the operator's pods may run. */}}
{{- define "ray.operatorPlacement" -}}
{{- with .Values.operatorTopologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "matchLabels" (dict "cluster.ray.io/component" "operator") }}
  {{- range . }}
  - {{ ternary . (set (deepCopy .) "labelSelector" $selector) (hasKey . "labelSelector") | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with .Values.operatorAffinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operatorPriorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.operatorNodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operatorTolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The rest of the container and of the pod: each a list, or nothing. */}}
{{- define "ray.operatorEnvironment" -}}
{{- if .Values.rayCredentials }}
- name: RAY_OPERATOR_RAY_CREDENTIALS
  value: /etc/ray-credentials
{{- end }}
{{- if .Values.namespacedOperator }}
- name: RAY_OPERATOR_POD_NAMESPACE
  {{- with .Values.watchNamespaces }}
  value: {{ join "," . | quote }}
  {{- else }}
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
  {{- end }}
{{- end }}
{{- with .Values.operatorExtraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ray.operatorMounts" -}}
{{- if .Values.metricsTlsSecret }}
- name: tls
  mountPath: /tls
  readOnly: true
{{- end }}
{{- range $index, $namespace := keys .Values.rayCredentials | sortAlpha }}
- name: ray-credentials-{{ $index }}
  mountPath: /etc/ray-credentials/{{ $namespace }}
  readOnly: true
{{- end }}
{{- with .Values.operatorExtraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ray.operatorVolumes" -}}
{{- with .Values.metricsTlsSecret }}
- name: tls
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- range $index, $namespace := keys .Values.rayCredentials | sortAlpha }}
- name: ray-credentials-{{ $index }}
  secret:
    secretName: {{ get $.Values.rayCredentials $namespace | quote }}
{{- end }}
{{- with .Values.operatorExtraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "ray.metricsScheme" -}}
scheme: {{ if .Values.metricsTlsSecret }}HTTPS{{ else }}HTTP{{ end }}
{{- end -}}
