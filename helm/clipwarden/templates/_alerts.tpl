{{/*
The alerts, each about this release's pods alone. docs/kubernetes.md says under the name of each what to do.
critical: uploads go unjudged, or are judged wrongly. warning: they will, or nobody would notice.
*/}}
{{- define "clipwarden.alerts" -}}
{{- $of := include "clipwarden.of" . -}}
{{- $limits := .Values.metrics.prometheusRule.thresholds -}}
- alert: ClipwardenAbsent
  expr: 'absent(up{ {{- $of -}} })'
  for: 5m
  severity: critical
  summary: No pod is scraped.
  description: Prometheus knows no pod of {{ include "clipwarden.fullname" . }}, so that no other alert of it can fire.
- alert: ClipwardenPodDown
  expr: 'up{ {{- $of -}} } == 0'
  for: 5m
  severity: warning
  summary: A pod does not answer Prometheus.
  description: '{{`{{ $labels.pod }}`}} has answered no scrape for five minutes.'
- alert: ClipwardenNotReady
  expr: 'max by (namespace) (clipwarden_ready{ {{- $of -}} }) == 0'
  for: 2m
  severity: critical
  summary: No server is ready.
  description: 'None of the pods of {{ include "clipwarden.fullname" . }} judges: all are NOT_SERVING.'
- alert: ClipwardenPodNotReady
  expr: 'clipwarden_ready{ {{- $of -}} } == 0'
  for: 5m
  severity: warning
  summary: A server is not ready.
  description: '{{`{{ $labels.pod }}`}} has been NOT_SERVING for five minutes: it warms up, is stuck, or its encoder fails.'
- alert: ClipwardenStuckThreads
  expr: 'sum by (namespace, pod, stage) (clipwarden_stuck_threads{ {{- $of -}} }) > 0'
  for: 2m
  severity: warning
  summary: A thread may never come back.
  description: '{{`{{ $value }}`}} threads of {{`{{ $labels.pod }}`}} are stuck at {{`{{ $labels.stage }}`}}; health fails when none is left.'
- alert: ClipwardenFaults
  expr: 'sum by (namespace, pod, reason) (increase(clipwarden_errors_total{ {{- $of -}} ,reason=~"ENCODER_FAILED|INTERNAL"}[10m])) > 0'
  for: 0m
  severity: critical
  summary: Images go without a verdict by a fault of the server.
  description: '{{`{{ $labels.pod }}`}} failed {{`{{ $value | humanize }}`}} images with {{`{{ $labels.reason }}`}} in ten minutes.'
- alert: ClipwardenQueueOld
  expr: 'max by (namespace, pod) (max_over_time(clipwarden_oldest_seconds{ {{- $of -}} }[1m])) > {{ $limits.queueAgeSeconds }}'
  for: 5m
  severity: warning
  summary: Images wait long.
  description: 'The oldest image of {{`{{ $labels.pod }}`}} has waited {{`{{ $value | humanizeDuration }}`}}.'
- alert: ClipwardenRefuses
  expr: >-
    sum by (namespace) (rate(clipwarden_refusals_total{ {{- $of -}} }[5m]))
    / (sum by (namespace) (rate(clipwarden_refusals_total{ {{- $of -}} }[5m])) + {{ include "clipwarden.judged" (dict "of" $of "instead" (printf "clipwarden_refusals_total{%s}" $of)) }})
    > {{ $limits.refusedShare }}
  for: 10m
  severity: critical
  summary: Images are refused for want of room or time.
  description: '{{`{{ $value | humanizePercentage }}`}} of the images are refused: there is more to judge than the pods can.'
- alert: ClipwardenLate
  expr: >-
    sum by (namespace) (rate(clipwarden_errors_total{ {{- $of -}} ,reason="DEADLINE_EXCEEDED"}[5m]))
    / (sum by (namespace) (rate(clipwarden_errors_total{ {{- $of -}} ,reason="DEADLINE_EXCEEDED"}[5m])) + {{ include "clipwarden.judged" (dict "of" $of "instead" (printf "clipwarden_errors_total{%s,reason=\"DEADLINE_EXCEEDED\"}" $of)) }})
    > {{ $limits.lateShare }}
  for: 10m
  severity: warning
  summary: Deadlines pass before there is a verdict.
  description: 'The deadline of {{`{{ $value | humanizePercentage }}`}} of the images passed first.'
- alert: ClipwardenLoopLag
  expr: 'histogram_quantile(0.9, sum by (namespace, pod, le) (rate(clipwarden_loop_lag_seconds_bucket{ {{- $of -}} }[5m]))) > 0.1'
  for: 10m
  severity: warning
  summary: The event loop is held up.
  description: 'A tenth of the times {{`{{ $labels.pod }}`}} answers {{`{{ $value | humanizeDuration }}`}} late or more: its CPUs are taken by others, or throttled.'
- alert: ClipwardenReloadFailed
  expr: 'clipwarden_policy_last_reload_successful{ {{- $of -}} } == 0'
  for: 2m
  severity: critical
  summary: Changed policies cannot be used.
  description: '{{`{{ $labels.pod }}`}} judges by the policies of before, since those in its folder cannot be used. Its log says why.'
- alert: ClipwardenPoliciesDiffer
  expr: 'count by (namespace, policy) (count by (namespace, policy, digest) (clipwarden_policy_info{ {{- $of -}} })) > 1'
  for: 15m
  severity: critical
  summary: Pods judge by different policies.
  description: '{{`{{ $value }}`}} versions of {{`{{ $labels.policy }}`}} have been in use at once for a quarter of an hour: what is blocked depends on the pod.'
- alert: ClipwardenModelsDiffer
  expr: 'count by (namespace) (count by (namespace, fingerprint) (clipwarden_model_info{ {{- $of -}} })) > 1'
  for: 1h
  severity: warning
  summary: Pods judge by different models.
  description: '{{`{{ $value }}`}} models have been in use at once for an hour: a rollout stands still.'
- alert: ClipwardenEnforcesNothing
  expr: 'max by (namespace, policy) (clipwarden_policy_categories{ {{- $of -}} ,mode="enforce",context=""}) == 0'
  for: 15m
  severity: warning
  summary: A policy enforces nothing.
  description: 'No category of {{`{{ $labels.policy }}`}} is enforced, so that everything is allowed.'
- alert: ClipwardenUnboundCategories
  expr: 'max by (namespace, policy) (clipwarden_policy_unbound_categories{ {{- $of -}} }) > 0'
  for: 15m
  severity: critical
  summary: Categories stand without a band.
  description: '{{`{{ $value }}`}} categories of {{`{{ $labels.policy }}`}} are not enforced, since their thresholds do not hold for what they say now.'
- alert: ClipwardenBlockShareMoved
  expr: >-
    (
      {{ include "clipwarden.blockedShare" (dict "of" $of "offset" "") }}
      / ({{ include "clipwarden.blockedShare" (dict "of" $of "offset" " offset 1w") }}) > {{ $limits.blockedFactor }}
      or {{ include "clipwarden.blockedShare" (dict "of" $of "offset" "") }}
      / ({{ include "clipwarden.blockedShare" (dict "of" $of "offset" " offset 1w") }}) < 1 / {{ $limits.blockedFactor }}
    )
    and on (namespace, policy)
    (
      sum by (namespace, policy) (increase(clipwarden_verdicts_total{ {{- $of -}} ,verdict="block"}[1h])) >= {{ $limits.blockedImages }}
      or sum by (namespace, policy) (increase(clipwarden_verdicts_total{ {{- $of -}} ,verdict="block"}[1h] offset 1w)) >= {{ $limits.blockedImages }}
    )
  for: 1h
  severity: warning
  summary: The share of blocked images has moved.
  description: 'By {{`{{ $labels.policy }}`}} {{`{{ $value | humanize }}`}} times the share of a week ago is blocked: an attack, another kind of upload, or a policy that changed.'
{{- if include "clipwarden.hasTls" . }}
- alert: ClipwardenCertificateExpires
  expr: >-
    clipwarden_tls_certificate_expiry_seconds{ {{- $of -}} } - time()
    < clamp_max({{ $limits.certificateShare }} * (clipwarden_tls_certificate_expiry_seconds{ {{- $of -}} } - clipwarden_tls_certificate_start_seconds{ {{- $of -}} }), {{ mul $limits.certificateDays 86400 }})
  for: 1h
  severity: critical
  summary: The certificate in use ends soon.
  description: 'That of {{`{{ $labels.pod }}`}} ends in {{`{{ $value | humanizeDuration }}`}}, and no other has been taken over.'
{{- end }}
{{- if or (include "clipwarden.hasTls" .) .Values.tokens.existingSecret }}
- alert: ClipwardenSecretRefused
  expr: 'clipwarden_secret_last_reload_successful{ {{- $of -}} } == 0'
  for: 2m
  severity: warning
  summary: A changed certificate or file of tokens cannot be used.
  description: '{{`{{ $labels.pod }}`}} goes on with the {{`{{ $labels.subject }}`}} of before. Its log says why.'
{{- end }}
{{- if .Values.auditLog.enabled }}
- alert: ClipwardenAuditFailing
  expr: 'clipwarden_audit_failing{ {{- $of -}} } == 1'
  for: 2m
  severity: warning
  summary: The audit log cannot keep up, or cannot be opened after a rotation.
  description: 'What {{`{{ $labels.pod }}`}} decides waits to be written, and is dropped once audit_queue_bytes of it wait.'
- alert: ClipwardenAuditDropped
  expr: 'sum by (namespace, pod) (increase(clipwarden_audit_dropped_total{ {{- $of -}} }[10m])) > 0'
  for: 0m
  severity: critical
  summary: Verdicts are missing from the audit log.
  description: '{{`{{ $labels.pod }}`}} could not write {{`{{ $value | humanize }}`}} lines in ten minutes: its disk is full, or slower than the images.'
{{- end }}
{{- end -}}

{{/*
Images judged a second: a dict of `of` and `instead`, series that are there in any case. Where no pod has judged an image
there may be no series of verdicts, and a share of nothing would be no number.
*/}}
{{- define "clipwarden.judged" -}}
(sum by (namespace) (rate(clipwarden_verdicts_total{ {{- .of -}} }[5m])) or 0 * sum by (namespace) (rate({{ .instead }}[5m])))
{{- end -}}

{{/* The share of an hour's images that each policy blocked, 0 where it judged some: a dict of `of` and `offset`. */}}
{{- define "clipwarden.blockedShare" -}}
{{- $all := printf "sum by (namespace, policy) (increase(clipwarden_verdicts_total{%s}[1h]%s))" .of .offset -}}
(sum by (namespace, policy) (increase(clipwarden_verdicts_total{ {{- .of -}} ,verdict="block"}[1h]{{ .offset }})) or 0 * {{ $all }}) / {{ $all }}
{{- end -}}
