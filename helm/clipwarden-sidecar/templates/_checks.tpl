{{/*
What no schema can say: values that contradict one another end the rendering with a sentence. Whatever an application
includes begins with it, since nobody knows which file Helm renders first.
*/}}

{{- define "clipwarden-sidecar.checks" -}}
{{- if not (hasKey .Subcharts "clipwarden-sidecar") -}}
{{- fail "No dependency of this chart is called \"clipwarden-sidecar\". List it by that name, without an alias, since its values are looked for there; and include its templates with the chart's root context." -}}
{{- end -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- include "clipwarden-sidecar.checkSettings" $values -}}
{{- include "clipwarden-sidecar.checkModel" $values -}}
{{- include "clipwarden-sidecar.checkPolicies" $values -}}
{{- $ports := list (int $values.ports.probe) -}}
{{- if $values.metrics.enabled }}{{ $ports = append $ports (int $values.ports.metrics) }}{{ end -}}
{{- if eq $values.transport "loopback" }}{{ $ports = append $ports (int $values.port) }}{{ end -}}
{{- if ne (len (uniq $ports)) (len $ports) -}}
{{- fail (printf "clipwarden-sidecar.ports.probe, ports.metrics and port must differ, and are %v." $ports) -}}
{{- end -}}
{{- $folders := include "clipwarden-sidecar.folders" $values | fromJsonArray -}}
{{- if ne (len (uniq $folders)) (len $folders) -}}
{{- fail (printf "clipwarden-sidecar mounts two volumes at one path, of %s. Change socket.folder, shared.mountPath, model.mountPath or extraVolumeMounts." (join ", " $folders)) -}}
{{- end -}}
{{- if and $values.metrics.podMonitor.enabled (not $values.metrics.enabled) -}}
{{- fail "clipwarden-sidecar.metrics.enabled is false, so that nothing can be scraped. Set it to true, or turn metrics.podMonitor off." -}}
{{- end -}}
{{- end -}}

{{/* Where something is mounted in the sidecar. */}}
{{- define "clipwarden-sidecar.folders" -}}
{{- $folders := list "/etc/clipwarden/settings" "/etc/clipwarden/policies" "/var/cache/clipwarden" "/tmp" -}}
{{- if eq .transport "socket" }}{{ $folders = append $folders .socket.folder }}{{ end -}}
{{- if .shared.volume }}{{ $folders = append $folders .shared.mountPath }}{{ end -}}
{{- if or .model.existingClaim .model.volume }}{{ $folders = append $folders .model.mountPath }}{{ end -}}
{{- range .extraVolumeMounts }}{{ $folders = append $folders (trimSuffix "/" .mountPath) }}{{ end -}}
{{- toJson $folders -}}
{{- end -}}

{{- define "clipwarden-sidecar.checkSettings" -}}
{{- $values := . -}}
{{- $own := include "clipwarden-sidecar.ownSettings" . | fromYaml -}}
{{- range $key, $_ := .settings -}}
{{- if hasKey $own $key -}}
{{- fail (printf "clipwarden-sidecar.settings.%s is written by the chart. Set %s instead." $key (get $own $key)) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "audit_log" "tokens" "tls_certificate" "tls_key" "tls_client_ca" -}}
{{- $path := get $values.settings $key | default "" -}}
{{- $mounted := has $path (list "" "-") -}}
{{- range $values.extraVolumeMounts -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $path }}{{ $mounted = true }}{{ end -}}
{{- end -}}
{{- if not $mounted -}}
{{- fail (printf "clipwarden-sidecar.settings.%s is %q, where nothing is mounted. Mount a volume of the pod there by extraVolumeMounts%s." $key $path (eq $key "audit_log" | ternary ", or write \"-\", which is standard output" "")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden-sidecar.checkModel" -}}
{{- $volume := or .model.existingClaim .model.volume -}}
{{- if and .model.folder (not $volume) -}}
{{- fail (printf "clipwarden-sidecar.model.folder is %q, but there is no volume to find it in. Set model.existingClaim or model.volume." .model.folder) -}}
{{- end -}}
{{- if and .model.existingClaim .model.volume -}}
{{- fail "clipwarden-sidecar.model.existingClaim and model.volume are both set. Keep one of them." -}}
{{- end -}}
{{- $used := or .model.folder (ne .model.name "mini") -}}
{{- range concat .policies.load .policies.candidates -}}
{{- if hasPrefix (printf "%s/" $.model.mountPath) . }}{{ $used = true }}{{ end -}}
{{- end -}}
{{- if and $volume (not $used) -}}
{{- fail "clipwarden-sidecar.model has a volume, and nothing says which folder of it: the embedded toy model would judge. Set model.folder." -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden-sidecar.checkPolicies" -}}
{{- $policies := .policies -}}
{{- if and .policies.existingConfigMap (or .policies.files (not .policies.load)) -}}
{{- fail "clipwarden-sidecar.policies.existingConfigMap goes without policies.files, and needs policies.load, since the chart cannot see its keys." -}}
{{- end -}}
{{- range $list, $names := dict "load" .policies.load "candidates" .policies.candidates -}}
{{- range $name := $names -}}
{{- if and (not (hasPrefix "/" $name)) (regexMatch "\\.(ya?ml|bundle)$" $name) (not $policies.existingConfigMap) (not (hasKey $policies.files $name)) -}}
{{- fail (printf "clipwarden-sidecar.policies.%s names %q, which is no key of policies.files. Add the file, or write a path from / on for one that a volume or the image has." $list $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (len (toJson .policies.files)) 1000000 -}}
{{- fail (printf "clipwarden-sidecar.policies.files come to %d bytes, and a ConfigMap holds 1 MiB. Compile them to bundles (clipwarden compile), put those on the models' volume, and name their paths in policies.load." (len (toJson .policies.files))) -}}
{{- end -}}
{{- if and .policies.files .policies.candidates (not .policies.load) -}}
{{- fail "clipwarden-sidecar.policies.candidates is set and policies.load is not, so that the candidates would be loaded as policies as well. Name the live ones in policies.load." -}}
{{- end -}}
{{- end -}}
