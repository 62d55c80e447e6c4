{{/*
An application's chart includes these, each with its own root context:
  clipwarden-sidecar.objects         the ConfigMaps, in a file of its templates
  clipwarden-sidecar.initContainers  first among its initContainers
  clipwarden-sidecar.volumes         among its volumes
  clipwarden-sidecar.mounts          among the volumeMounts of whoever calls
  clipwarden-sidecar.env             among the env of whoever calls: CLIPWARDEN_TARGET
  clipwarden-sidecar.annotations     among the pod's annotations
  clipwarden-sidecar.group           the pod's securityContext.fsGroup
  clipwarden-sidecar.grace           the pod's terminationGracePeriodSeconds
*/}}

{{- define "clipwarden-sidecar.initContainers" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- if $values.prefill }}
- name: clipwarden-fill-vector-cache
  command: [clipwarden, serve, --check, --config, /etc/clipwarden/settings/settings.yaml]
  {{- include "clipwarden-sidecar.container" . | nindent 2 }}
{{- end }}
- name: clipwarden
  # Starts before the application and stops after it.
  restartPolicy: Always
  command: [clipwarden, serve, --config, /etc/clipwarden/settings/settings.yaml]
  ports:
    - {name: cw-probe, containerPort: {{ $values.ports.probe }}, protocol: TCP}
    {{- if $values.metrics.enabled }}
    - {name: cw-metrics, containerPort: {{ $values.ports.metrics }}, protocol: TCP}
    {{- end }}
  startupProbe:
    httpGet: {path: /readyz, port: cw-probe}
    {{- toYaml $values.probes.startup | nindent 4 }}
  readinessProbe:
    httpGet: {path: /readyz, port: cw-probe}
    {{- toYaml $values.probes.readiness | nindent 4 }}
  livenessProbe:
    httpGet: {path: /livez, port: cw-probe}
    {{- toYaml $values.probes.liveness | nindent 4 }}
  {{- include "clipwarden-sidecar.container" . | nindent 2 }}
{{- end -}}

{{/* What the sidecar and the container that prepares its start share. */}}
{{- define "clipwarden-sidecar.container" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
image: {{ include "clipwarden-sidecar.image" . }}
imagePullPolicy: {{ $values.image.pullPolicy }}
env:
  - {name: GLIBC_TUNABLES, value: glibc.malloc.hugetlb=1}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
securityContext: {{- merge (dict "runAsUser" (int $values.user) "runAsGroup" (int $values.group)) $values.containerSecurityContext | toYaml | nindent 2 }}
resources: {{- toYaml $values.resources | nindent 2 }}
volumeMounts:
  - {name: clipwarden-settings, mountPath: /etc/clipwarden/settings, readOnly: true}
  {{- if or $values.policies.files $values.policies.existingConfigMap }}
  # The whole folder: what is mounted by subPath never changes.
  - {name: clipwarden-policies, mountPath: /etc/clipwarden/policies, readOnly: true}
  {{- end }}
  {{- if or $values.model.existingClaim $values.model.volume }}
  - {name: clipwarden-models, mountPath: {{ $values.model.mountPath }}, readOnly: true}
  {{- end }}
  {{- if eq $values.transport "socket" }}
  - {name: clipwarden-socket, mountPath: {{ $values.socket.folder }}}
  {{- end }}
  {{- with $values.shared.volume }}
  - {name: {{ . }}, mountPath: {{ $values.shared.mountPath }}, readOnly: true}
  {{- end }}
  - {name: clipwarden-vectors, mountPath: /var/cache/clipwarden}
  - {name: clipwarden-tmp, mountPath: /tmp}
{{- end -}}

{{- define "clipwarden-sidecar.volumes" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
- name: clipwarden-settings
  configMap: {name: {{ include "clipwarden-sidecar.name" . }}-settings}
{{- if or $values.policies.files $values.policies.existingConfigMap }}
- name: clipwarden-policies
  configMap: {name: {{ $values.policies.existingConfigMap | default (printf "%s-policies" (include "clipwarden-sidecar.name" .)) }}}
{{- end }}
{{- if or $values.model.existingClaim $values.model.volume }}
- name: clipwarden-models
  {{- if $values.model.existingClaim }}
  persistentVolumeClaim: {claimName: {{ $values.model.existingClaim }}, readOnly: true}
  {{- else }}
  {{- toYaml $values.model.volume | nindent 2 }}
  {{- end }}
{{- end }}
{{- if eq $values.transport "socket" }}
- name: clipwarden-socket
  emptyDir: {sizeLimit: 1Mi}
{{- end }}
- name: clipwarden-vectors
  emptyDir: {sizeLimit: {{ $values.vectorCacheSize }}}
- name: clipwarden-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{/* Read-only: a socket can be called all the same, and not be replaced by a false one. */}}
{{- define "clipwarden-sidecar.mounts" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- if eq $values.transport "socket" -}}
- {name: clipwarden-socket, mountPath: {{ $values.socket.folder }}, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "clipwarden-sidecar.env" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
- {name: CLIPWARDEN_TARGET, value: {{ eq $values.transport "socket" | ternary (printf "unix:%s/clipwarden.sock" $values.socket.folder) (printf "127.0.0.1:%d" (int $values.port)) | quote }}}
{{- end -}}

{{- define "clipwarden-sidecar.annotations" -}}
checksum/clipwarden-settings: {{ include "clipwarden-sidecar.settings" . | sha256sum }}
{{- end -}}

{{- define "clipwarden-sidecar.group" -}}
{{ (index .Values "clipwarden-sidecar").group | int }}
{{- end -}}

{{/* The application first, and what is left of the same seconds for the sidecar. */}}
{{- define "clipwarden-sidecar.grace" -}}
{{- with (index .Values "clipwarden-sidecar").drain }}{{ addf .applicationSeconds .seconds .marginSeconds | ceil | int }}{{ end -}}
{{- end -}}

{{- define "clipwarden-sidecar.objects" -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- include "clipwarden-sidecar.checks" . -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "clipwarden-sidecar.name" . }}-settings
data:
  settings.yaml: |
    {{- include "clipwarden-sidecar.settings" . | trim | nindent 4 }}
{{- with $values.policies.files }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "clipwarden-sidecar.name" $ }}-policies
data:
  {{- range $name, $text := . }}
  {{ $name | quote }}: {{ $text | toJson }}
  {{- end }}
{{- end }}
{{- end -}}
