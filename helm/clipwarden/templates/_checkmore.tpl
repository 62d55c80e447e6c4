{{/* More of what no schema can say: names that are ours, times and numbers that need one another. */}}

{{/* Seconds of a duration such as 90m or 1h30m. */}}
{{- define "clipwarden.durationSeconds" -}}
{{- $seconds := 0 -}}
{{- range $unit, $factor := dict "h" 3600 "m" 60 "s" 1 -}}
{{- $seconds = add $seconds (mul $factor (regexFind (printf "[0-9]+%s" $unit) $ | trimSuffix $unit | default "0" | int)) -}}
{{- end -}}
{{ $seconds }}
{{- end -}}

{{- define "clipwarden.checkNames" -}}
{{- if not (regexMatch "^[a-z]" (include "clipwarden.fullname" .)) -}}
{{- fail (printf "Names of Services begin with a letter, and %q does not. Set fullnameOverride, or give the release another name." (include "clipwarden.fullname" .)) -}}
{{- end -}}
{{- $given := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "podAnnotations" .Values.podAnnotations "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.prometheusRule.labels" .Values.metrics.prometheusRule.labels "metrics.dashboard.labels" .Values.metrics.dashboard.labels -}}
{{- range $where, $map := $given -}}
{{- range $key, $_ := $map -}}
{{- if has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "checksum/settings") -}}
{{- fail (printf "%s sets %s, which the chart's selectors or its rollouts go by. Take another key; nameOverride changes app.kubernetes.io/name." $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraVolumes -}}
{{- if has .name (list "settings" "policies" "models" "tls" "client-ca" "tokens" "vector-cache" "tmp" "audit") -}}
{{- fail (printf "extraVolumes has one called %q, as the chart's own. Take another name." .name) -}}
{{- end -}}
{{- end -}}
{{- $ours := list "/tmp" "/var/cache/clipwarden" "/etc/clipwarden" -}}
{{- range $where, $path := dict "model.mountPath" .Values.model.mountPath "auditLog.mountPath" .Values.auditLog.mountPath -}}
{{- range $ours -}}
{{- if or (hasPrefix (printf "%s/" .) (printf "%s/" $path)) (hasPrefix (printf "%s/" $path) (printf "%s/" .)) -}}
{{- fail (printf "%s is %s, where the chart mounts %s. Take another folder." $where $path .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden.checkModel" -}}
{{- with .Values.model -}}
{{- $used := .folder -}}
{{- range concat (default list $.Values.policies.load) (default list $.Values.policies.candidates) -}}
{{- if hasPrefix (printf "%s/" $.Values.model.mountPath) . }}{{ $used = . }}{{ end -}}
{{- end -}}
{{- if and (or .existingClaim .volume) (eq .name "mini") (not $used) -}}
{{- fail "There is a volume for models, and nothing says which folder of it: the embedded model \"mini\", which knows drawn stickers only, would judge. Set model.folder." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden.checkTimes" -}}
{{- with .Values.drain -}}
{{- if and $.Values.auditLog.enabled (lt (float64 .marginSeconds) 7.0) -}}
{{- fail (printf "drain.marginSeconds is %v, and with auditLog.enabled it takes 7: 2 in which callers may go away, and 5 to write what waits. Write 7 or more." .marginSeconds) -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls.certManager -}}
{{- if and .enabled (ge (include "clipwarden.durationSeconds" .renewBefore | int) (include "clipwarden.durationSeconds" .duration | int)) -}}
{{- fail (printf "tls.certManager.renewBefore (%s) has to be less than tls.certManager.duration (%s)." .renewBefore .duration) -}}
{{- end -}}
{{- if and .enabled (eq .issuerRef.group "cert-manager.io") (not (has .issuerRef.kind (list "Issuer" "ClusterIssuer"))) -}}
{{- fail (printf "tls.certManager.issuerRef.kind is %q; cert-manager itself has Issuer and ClusterIssuer. For another issuer set its group." .issuerRef.kind) -}}
{{- end -}}
{{- end -}}
{{- if ge (int .Values.minReadySeconds) (int .Values.progressDeadlineSeconds) -}}
{{- fail (printf "progressDeadlineSeconds (%d) has to be more than minReadySeconds (%d), or every rollout counts as failed." (int .Values.progressDeadlineSeconds) (int .Values.minReadySeconds)) -}}
{{- end -}}
{{- $interval := include "clipwarden.durationSeconds" .Values.metrics.serviceMonitor.interval | int -}}
{{- if .Values.metrics.serviceMonitor.enabled -}}
{{- if gt (include "clipwarden.durationSeconds" .Values.metrics.serviceMonitor.scrapeTimeout | int) $interval -}}
{{- fail (printf "metrics.serviceMonitor.scrapeTimeout (%s) is longer than its interval (%s), which Prometheus refuses." .Values.metrics.serviceMonitor.scrapeTimeout .Values.metrics.serviceMonitor.interval) -}}
{{- end -}}
{{- $window := .Values.autoscaling.keda.window -}}
{{- if and (eq .Values.autoscaling.type "keda") (lt (include "clipwarden.durationSeconds" $window | int) (mul 4 $interval)) -}}
{{- fail (printf "autoscaling.keda.window is %s, and a rate over it needs four scrapes of metrics.serviceMonitor.interval (%s). Write %ds or more, or scrape more often." $window .Values.metrics.serviceMonitor.interval (mul 4 $interval)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden.checkReplicas" -}}
{{- with .Values.autoscaling -}}
{{- $fallback := int .keda.fallback.replicas -}}
{{- if and (eq .type "keda") (or (lt $fallback (int .minReplicas)) (gt $fallback (int .maxReplicas))) -}}
{{- fail (printf "autoscaling.keda.fallback.replicas is %d; write a number from autoscaling.minReplicas (%d) to autoscaling.maxReplicas (%d), between which it is kept in any case." $fallback (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.strategy -}}
{{- if and (eq .type "Recreate") .rollingUpdate -}}
{{- fail "strategy.type is Recreate, which takes no strategy.rollingUpdate. Leave that out." -}}
{{- end -}}
{{- $none := list "0" "0%" -}}
{{- with .rollingUpdate -}}
{{- if and (has (toString .maxSurge) $none) (has (toString .maxUnavailable) $none) -}}
{{- fail "strategy.rollingUpdate has maxSurge and maxUnavailable at 0, so that no pod could ever be replaced. Raise one of them." -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.service -}}
{{- if and (eq .type "ClusterIP") (or .nodePort .externalTrafficPolicy) -}}
{{- fail "service.nodePort and service.externalTrafficPolicy are for NodePort and LoadBalancer, and service.type is ClusterIP." -}}
{{- end -}}
{{- if and (ne .type "LoadBalancer") (or .loadBalancerClass .loadBalancerSourceRanges) -}}
{{- fail (printf "service.loadBalancerClass and service.loadBalancerSourceRanges are for LoadBalancer, and service.type is %s." .type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
