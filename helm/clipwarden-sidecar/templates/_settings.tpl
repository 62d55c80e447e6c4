{{/* With the chart's name in it: a release may hold several applications, each with a sidecar of its own. */}}
{{- define "clipwarden-sidecar.name" -}}
{{ printf "%s-%s-clipwarden-sidecar" .Release.Name .Chart.Name }}
{{- end -}}

{{- define "clipwarden-sidecar.objectLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: clipwarden-sidecar
{{- end -}}

{{- define "clipwarden-sidecar.image" -}}
{{- $image := (index .Values "clipwarden-sidecar").image -}}
{{- $tag := $image.tag | default (index .Subcharts "clipwarden-sidecar").Chart.AppVersion -}}
{{- if eq $tag "latest" -}}
{{- fail "clipwarden-sidecar.image.tag is \"latest\", which names another image tomorrow. Write a version, or clipwarden-sidecar.image.digest." -}}
{{- end -}}
{{- $name := empty $image.registry | ternary $image.repository (printf "%s/%s" $image.registry $image.repository) -}}
{{- empty $image.digest | ternary (printf "%s:%s" $name $tag) (printf "%s@%s" $name $image.digest) -}}
{{- end -}}

{{/* Which value writes which setting, for whoever sets one of them by its own name. */}}
{{- define "clipwarden-sidecar.ownSettings" -}}
listen: transport and port
probe_listen: ports.probe
metrics_listen: ports.metrics and metrics.enabled
unix_socket: transport and socket.folder
unix_socket_mode: socket.mode
unix_socket_group: group
unix_socket_owner: user
path_root: shared.volume and shared.mountPath
path_callers: transport
model: model.name, or model.folder and model.existingClaim
policies: policies.load
candidates: policies.candidates
default_policy: policies.default
vector_cache: vectorCacheSize
drain_delay_seconds: drain (a sidecar has no load balancer to wait for)
drain_seconds: drain.seconds
{{- end -}}

{{/* Where a policy is that `load` names: a file of the ConfigMap, a path, or a shipped policy's name. */}}
{{- define "clipwarden-sidecar.policyPaths" -}}
{{- $paths := list -}}
{{- range . -}}
{{- $paths = append $paths (or (hasPrefix "/" .) (not (regexMatch "\\.(ya?ml|bundle)$" .)) | ternary . (printf "/etc/clipwarden/policies/%s" .)) -}}
{{- end -}}
{{- toJson $paths -}}
{{- end -}}

{{- define "clipwarden-sidecar.settings" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- $settings := dict
  "listen" (eq $values.transport "loopback" | ternary (printf "127.0.0.1:%d" (int $values.port)) "")
  "probe_listen" (printf "0.0.0.0:%d" (int $values.ports.probe))
  "metrics_listen" ($values.metrics.enabled | ternary (printf "0.0.0.0:%d" (int $values.ports.metrics)) "")
  "model" (empty $values.model.folder | ternary $values.model.name (printf "%s/%s" $values.model.mountPath $values.model.folder))
  "vector_cache" "/var/cache/clipwarden"
  "drain_delay_seconds" 0
  "drain_seconds" $values.drain.seconds
-}}
{{- if eq $values.transport "socket" -}}
{{- $_ := set $settings "unix_socket" (printf "%s/clipwarden.sock" $values.socket.folder) -}}
{{- $_ := set $settings "unix_socket_mode" $values.socket.mode -}}
{{- $_ := set $settings "unix_socket_group" (toString (int $values.group)) -}}
{{- end -}}
{{- if $values.shared.volume -}}
{{- $_ := set $settings "path_root" $values.shared.mountPath -}}
{{- /* Loopback is as far as anybody else comes. */ -}}
{{- $_ := set $settings "path_callers" (eq $values.transport "socket" | ternary "unix" "all") -}}
{{- end -}}
{{- with $values.policies.load | default ($values.policies.files | keys | sortAlpha) }}{{ $_ := set $settings "policies" (include "clipwarden-sidecar.policyPaths" . | fromJsonArray) }}{{ end -}}
{{- with $values.policies.candidates }}{{ $_ := set $settings "candidates" (include "clipwarden-sidecar.policyPaths" . | fromJsonArray) }}{{ end -}}
{{- with $values.policies.default }}{{ $_ := set $settings "default_policy" . }}{{ end -}}
{{- range $key, $value := merge $settings $values.settings }}
{{ $key }}: {{ if and (kindIs "float64" $value) (eq (floor $value) $value) }}{{ int64 $value }}{{ else }}{{ toJson $value }}{{ end }}
{{- end -}}
{{- end -}}
