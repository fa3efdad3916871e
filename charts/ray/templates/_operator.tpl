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
    {{- with .Values.imagePullSecrets }}
    imagePullSecrets:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.operatorPriorityClassName }}
    priorityClassName: {{ . }}
    {{- end }}
    {{- with .Values.operatorNodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.operatorTolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      runAsNonRoot: true
      runAsUser: 65532
      runAsGroup: 65532
      seccompProfile:
        type: RuntimeDefault
    containers:
      - name: ray
        image: {{ .Values.operatorImage | quote }}
        imagePullPolicy: {{ .Values.operatorImagePullPolicy }}
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
        {{- if or .Values.namespacedOperator .Values.rayCredentials }}
        env:
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
        {{- end }}
        resources:
          {{- toYaml .Values.operatorResources | nindent 10 }}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities:
            drop: [ALL]
        {{- if or .Values.metricsTlsSecret .Values.rayCredentials }}
        volumeMounts:
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
        {{- end }}
    {{- if or .Values.metricsTlsSecret .Values.rayCredentials }}
    volumes:
      {{- with .Values.metricsTlsSecret }}
      - name: tls
        secret:
          secretName: {{ . }}
      {{- end }}
      {{- range $index, $namespace := keys .Values.rayCredentials | sortAlpha }}
      - name: ray-credentials-{{ $index }}
        secret:
          secretName: {{ get $.Values.rayCredentials $namespace }}
      {{- end }}
    {{- end }}
{{- end -}}

{{- define "ray.metricsScheme" -}}
scheme: {{ if .Values.metricsTlsSecret }}HTTPS{{ else }}HTTP{{ end }}
{{- end -}}
