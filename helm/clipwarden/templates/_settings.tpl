{{/* The file of settings that the server reads: what the chart decides, and `settings` of the values beside it. */}}

{{/* Which value of the chart writes which setting, for whoever sets one of them by its own name. */}}
{{- define "clipwarden.ownSettings" -}}
listen: bindAddress and ports.grpc
probe_listen: bindAddress and ports.probe
metrics_listen: bindAddress, ports.metrics and metrics.enabled
unix_socket: the chart clipwarden-sidecar
unix_socket_mode: the chart clipwarden-sidecar
unix_socket_group: the chart clipwarden-sidecar
unix_socket_owner: the chart clipwarden-sidecar
model: model.name, or model.folder and model.existingClaim
policies: policies.load
candidates: policies.candidates
default_policy: policies.default
provider: gpu.enabled and gpu.provider
vector_cache: vectorCache
drain_delay_seconds: drain.delaySeconds
drain_seconds: drain.seconds
max_connection_age_seconds: connectionAgeSeconds
tls_certificate: tls
tls_key: tls
tls_client_ca: tls.clientCA
tokens: tokens.existingSecret
audit_log: auditLog
{{- end -}}

{{/* A number as people write it: Helm reads 536870912 as a float, and would print 5.36870912e+08. */}}
{{- define "clipwarden.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* Where a policy is that `load` names: a file of the ConfigMap, a path, or a shipped policy's name. */}}
{{- define "clipwarden.policyPath" -}}
{{- if or (hasPrefix "/" .) (not (regexMatch "\\.(ya?ml|bundle)$" .)) }}{{ . }}{{ else }}/etc/clipwarden/policies/{{ . }}{{ end -}}
{{- end -}}

{{- define "clipwarden.hasPolicyFolder" -}}
{{- if or .Values.policies.files .Values.policies.existingConfigMap }}true{{ end -}}
{{- end -}}

{{- define "clipwarden.hasModelVolume" -}}
{{- if or .Values.model.existingClaim .Values.model.volume }}true{{ end -}}
{{- end -}}

{{- define "clipwarden.hasTls" -}}
{{- if or .Values.tls.existingSecret .Values.tls.certManager.enabled }}true{{ end -}}
{{- end -}}

{{- define "clipwarden.hasAuditFile" -}}
{{- if and .Values.auditLog.enabled (eq .Values.auditLog.destination "file") }}true{{ end -}}
{{- end -}}

{{- define "clipwarden.settings" -}}
{{- $values := .Values -}}
{{- $own := include "clipwarden.ownSettings" . | fromYaml -}}
{{- range $key, $_ := $values.settings -}}
{{- if hasKey $own $key -}}
{{- fail (printf "settings.%s is written by the chart. Set %s instead." $key (get $own $key)) -}}
{{- end -}}
{{- end -}}
{{- $address := $values.bindAddress -}}
{{- $settings := dict
  "listen" (printf "%s:%v" $address (int $values.ports.grpc))
  "probe_listen" (printf "%s:%v" $address (int $values.ports.probe))
  "metrics_listen" ($values.metrics.enabled | ternary (printf "%s:%v" $address (int $values.ports.metrics)) "")
  "model" (empty $values.model.folder | ternary $values.model.name (printf "%s/%s" $values.model.mountPath $values.model.folder))
  "vector_cache" "/var/cache/clipwarden"
  "drain_delay_seconds" $values.drain.delaySeconds
  "drain_seconds" $values.drain.seconds
  "max_connection_age_seconds" $values.connectionAgeSeconds
-}}
{{- $load := $values.policies.load | default (default dict $values.policies.files | keys | sortAlpha) -}}
{{- $paths := list -}}
{{- range $load }}{{ $paths = append $paths (include "clipwarden.policyPath" .) }}{{ end -}}
{{- with $paths }}{{ $_ := set $settings "policies" . }}{{ end -}}
{{- $watching := list -}}
{{- range $values.policies.candidates }}{{ $watching = append $watching (include "clipwarden.policyPath" .) }}{{ end -}}
{{- with $watching }}{{ $_ := set $settings "candidates" . }}{{ end -}}
{{- with $values.policies.default }}{{ $_ := set $settings "default_policy" . }}{{ end -}}
{{- if $values.gpu.enabled }}{{ $_ := set $settings "provider" $values.gpu.provider }}{{ end -}}
{{- if include "clipwarden.hasTls" . -}}
{{- $_ := set $settings "tls_certificate" "/etc/clipwarden/tls/tls.crt" -}}
{{- $_ := set $settings "tls_key" "/etc/clipwarden/tls/tls.key" -}}
{{- if $values.tls.clientCA.enabled -}}
{{- $folder := empty $values.tls.clientCA.existingSecret | ternary "tls" "client-ca" -}}
{{- $_ := set $settings "tls_client_ca" (printf "/etc/clipwarden/%s/%s" $folder $values.tls.clientCA.key) -}}
{{- end -}}
{{- end -}}
{{- if $values.tokens.existingSecret }}{{ $_ := set $settings "tokens" (printf "/etc/clipwarden/tokens/%s" $values.tokens.key) }}{{ end -}}
{{- if $values.auditLog.enabled -}}
{{- $_ := set $settings "audit_log" (include "clipwarden.hasAuditFile" . | empty | ternary "-" (printf "%s/verdicts.jsonl" $values.auditLog.mountPath)) -}}
{{- end -}}
{{- range $key, $value := merge $settings (default dict $values.settings) }}
{{ $key }}: {{ if or (kindIs "slice" $value) (kindIs "string" $value) }}{{ $value | toJson }}{{ else }}{{ include "clipwarden.plain" $value }}{{ end }}
{{- end -}}
{{- end -}}
