{{/* What both autoscalers go by, and how fast they move. */}}

{{/*
Up at once, and by no more than so many percent a minute: what was added last has to be there before more is asked for.
Down after a while without need, and slowly: whatever was wrong shows before much is gone. One pod at least goes.
*/}}
{{- define "clipwarden.scalingBehavior" -}}
{{- with .Values.autoscaling -}}
scaleUp:
  stabilizationWindowSeconds: 0
  selectPolicy: Max
  policies:
    - {type: Percent, value: {{ .scaleUpPercent }}, periodSeconds: 60}
    - {type: Pods, value: 1, periodSeconds: 60}
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDownSeconds }}
  selectPolicy: Max
  policies:
    - {type: Percent, value: {{ .scaleDownPercent }}, periodSeconds: 60}
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}
{{- end -}}

{{/* KEDA's triggers, as a list of `name`, `query` and `threshold`. */}}
{{- define "clipwarden.triggers" -}}
{{- $of := include "clipwarden.of" . -}}
{{- $keda := .Values.autoscaling.keda -}}
{{- $busy := printf "sum(max by (pod) (rate(clipwarden_busy_seconds_total{%s}[%s]) / clipwarden_busy_limit{%s}))" $of $keda.window $of -}}
{{- toYaml (list
  (dict "name" "busy" "query" $busy "threshold" $keda.busyShare)
  (dict "name" "queue-age" "query" (printf "sum(clipwarden_oldest_seconds{%s})" $of) "threshold" $keda.queueAgeSeconds)
  (dict "name" "refusals" "query" (printf "sum(rate(clipwarden_refusals_total{%s}[%s]))" $of $keda.window) "threshold" $keda.refusalsPerSecond)
) -}}
{{- end -}}
