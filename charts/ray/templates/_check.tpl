{{/* What a schema cannot say: fails with the value, what is wrong with it, and what to write. */}}
{{- define "ray.check" -}}
{{- $values := .Values -}}
{{- if not (hasKey $values "operatorServiceAccount") -}}
{{- fail "the values are those of an older chart, without the defaults of this one: upgrade with --reset-then-reuse-values instead of --reuse-values, or with -f and your values file" -}}
{{- end -}}
{{- if and $values.operatorOnly $values.clusterOnly -}}
{{- fail "operatorOnly and clusterOnly exclude each other; set one of them to false" -}}
{{- end -}}
{{- if and (include "ray.hasOperator" .) (not $values.operatorServiceAccount.create) (not $values.operatorServiceAccount.name) -}}
{{- fail "operatorServiceAccount.name is missing; name an existing service account, or set operatorServiceAccount.create to true" -}}
{{- end -}}
{{- if and $values.watchNamespaces (not $values.namespacedOperator) -}}
{{- fail "watchNamespaces: an operator for all namespaces has no use for it; add namespacedOperator: true, or remove it" -}}
{{- end -}}
{{- if include "ray.hasOperator" . -}}
{{- include "ray.checkBudget" $values.operatorPodDisruptionBudget -}}
{{- end -}}
{{- range $resource := $values.gangObjects -}}
{{- include "ray.checkGangObject" $resource -}}
{{- end -}}
{{- if include "ray.hasCluster" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$" .Release.Name) -}}
{{- fail (printf "the release name %q cannot be the name of a RayCluster and of its Service; start with a letter, go on with a-z, 0-9 and '-', at most 52 characters" .Release.Name) -}}
{{- end -}}
{{- if not (hasKey $values.podTypes $values.headPodType) -}}
{{- fail (printf "headPodType: %q is not a key under podTypes; use one of them: %s" $values.headPodType (keys $values.podTypes | sortAlpha | join ", ")) -}}
{{- end -}}
{{- include "ray.checkNetwork" . -}}
{{- range $name, $type := $values.podTypes -}}
{{- include "ray.checkType" (dict "name" $name "type" $type "isHead" (eq $name $values.headPodType)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ray.checkBudget" -}}
{{- if and .enabled (eq (toString .minAvailable) "") (eq (toString .maxUnavailable) "") -}}
{{- fail "operatorPodDisruptionBudget: minAvailable and maxUnavailable are both empty; give one of them" -}}
{{- end -}}
{{- end -}}

{{/* Who reaches the cluster. A policy that does not let the operator in leaves the cluster without scaling. */}}
{{- define "ray.checkNetwork" -}}
{{- with .Values.externalService -}}
{{- if and .loadBalancerSourceRanges (eq (toString .type) "NodePort") -}}
{{- fail "externalService.loadBalancerSourceRanges: a Service of the type NodePort has none; use the type LoadBalancer, or networkPolicy" -}}
{{- end -}}
{{- end -}}
{{- $known := or (include "ray.hasOperator" .) .Values.namespacedOperator .Values.operatorNamespace -}}
{{- if and .Values.networkPolicy.enabled (not $known) -}}
{{- fail "networkPolicy: it lets the operator in, which this release does not hold; set operatorNamespace to the operator's namespace, for example ray-system" -}}
{{- end -}}
{{- end -}}

{{/* As the operator's flag --gang-objects does, and before a role allows it. */}}
{{- define "ray.checkGangObject" -}}
{{- $group := regexReplaceAll "^[^.]*[.]" . "" -}}
{{- $own := or (not (contains "." $group)) (and (hasSuffix ".k8s.io" $group) (not (hasSuffix ".sigs.k8s.io" $group)) (ne $group "scheduling.k8s.io")) -}}
{{- if or $own (has $group (list "cluster.ray.io" "ray.io")) (eq . "priorityclasses.scheduling.k8s.io") -}}
{{- fail (printf "gangObjects: %q is more than a gang may have; name a scheduler's kind, podgroups.scheduling.volcano.sh for example" .) -}}
{{- end -}}
{{- end -}}

{{- define "ray.checkType" -}}
{{- range $field, $remedy := dict "containers" "sidecars, or the pod type's own values for Ray's container" "initContainers" "initContainers of the pod type" "volumes" "volumes of the pod type" -}}
{{- if hasKey ($.type.podSpec | default dict) $field -}}
{{- fail (printf "podTypes.%s.podSpec.%s would replace what the chart sets; use %s" $.name $field $remedy) -}}
{{- end -}}
{{- end -}}
{{- range $field, $value := .type.container -}}
{{- if has $field (list "name" "image" "imagePullPolicy" "env" "envFrom" "volumeMounts" "resources" "securityContext") -}}
{{- $remedy := ternary "sidecars for another container" (printf "%s of the pod type" $field) (eq $field "name") -}}
{{- fail (printf "podTypes.%s.container.%s would replace what the chart sets; use %s" $.name $field $remedy) -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$" .name) -}}
{{- fail (printf "podTypes: %q cannot be the name of a pod type; use letters, digits, '-', '_' and '.', at most 63" .name) -}}
{{- end -}}
{{- if and .isHead (gt (.type.hosts | default 1 | int) 1) -}}
{{- fail (printf "podTypes.%s.hosts: %d is for workers, and the head is one pod; remove it" .name (int .type.hosts)) -}}
{{- end -}}
{{- $least := .type.minWorkers | default 0 | int -}}
{{- $most := .type.maxWorkers | default 0 | int -}}
{{- if and (gt $least $most) (not .isHead) -}}
{{- fail (printf "podTypes.%s.minWorkers: %d is more than maxWorkers, which is %d; lower it or raise maxWorkers" .name $least $most) -}}
{{- end -}}
{{- $cpus := include "ray.cpus" .type -}}
{{- if not $cpus -}}
{{- fail (printf "podTypes.%s.CPU is missing; write for example 1, or 500m for half a CPU" .name) -}}
{{- end -}}
{{- if not .type.memory -}}
{{- fail (printf "podTypes.%s.memory is missing; write for example 1Gi" .name) -}}
{{- end -}}
{{- include "ray.checkQuantity" (dict "name" .name "key" "CPU" "value" $cpus "example" "1, or 500m for half a CPU") -}}
{{- include "ray.checkQuantity" (dict "name" .name "key" "memory" "value" .type.memory "example" "1Gi") -}}
{{- include "ray.checkQuantity" (dict "name" .name "key" "GPU" "value" (include "ray.gpus" .type) "example" "1") -}}
{{- end -}}

{{/* The grammar of Kubernetes' quantities, without signs. */}}
{{- define "ray.checkQuantity" -}}
{{- $text := .value | toString -}}
{{- if not (regexMatch "^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$" $text) -}}
{{- fail (printf "podTypes.%s.%s: %q is not a quantity; write for example %s" .name .key $text .example) -}}
{{- end -}}
{{- end -}}
