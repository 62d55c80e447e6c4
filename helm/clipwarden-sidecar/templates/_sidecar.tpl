{{/*
An application's chart lists this one among its dependencies, without an alias: its values are looked for under
"clipwarden-sidecar". It includes these, each with its own root context:
  clipwarden-sidecar.objects         the ConfigMaps, and the PodMonitor if there is one, in a file of its templates
  clipwarden-sidecar.initContainers  first among its initContainers: those before it would find nobody to ask
  clipwarden-sidecar.volumes         among its volumes
  clipwarden-sidecar.mounts          among the volumeMounts of whoever calls
  clipwarden-sidecar.env             among the env of whoever calls: CLIPWARDEN_TARGET
  clipwarden-sidecar.annotations     among the pod's annotations
  clipwarden-sidecar.labels          among the pod's labels, by which the PodMonitor finds it
  clipwarden-sidecar.group           the pod's securityContext.fsGroup
  clipwarden-sidecar.grace           the pod's terminationGracePeriodSeconds
  clipwarden-sidecar.metricsPort     a NetworkPolicy's port for Prometheus
*/}}

{{- define "clipwarden-sidecar.initContainers" -}}
{{- include "clipwarden-sidecar.checks" . -}}
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
  - {name: {{ . | quote }}, mountPath: {{ $values.shared.mountPath }}, readOnly: true}
  {{- end }}
  - {name: clipwarden-vectors, mountPath: /var/cache/clipwarden}
  - {name: clipwarden-tmp, mountPath: /tmp}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "clipwarden-sidecar.volumes" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
- name: clipwarden-settings
  configMap: {name: {{ include "clipwarden-sidecar.name" . }}-settings}
{{- if or $values.policies.files $values.policies.existingConfigMap }}
- name: clipwarden-policies
  configMap: {name: {{ $values.policies.existingConfigMap | default (printf "%s-policies" (include "clipwarden-sidecar.name" .)) | quote }}}
{{- end }}
{{- if or $values.model.existingClaim $values.model.volume }}
- name: clipwarden-models
  {{- if $values.model.existingClaim }}
  persistentVolumeClaim: {claimName: {{ $values.model.existingClaim | quote }}, readOnly: true}
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
{{- include "clipwarden-sidecar.checks" . -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
{{- if eq $values.transport "socket" -}}
- {name: clipwarden-socket, mountPath: {{ $values.socket.folder }}, readOnly: true}
{{- end -}}
{{- end -}}

{{- define "clipwarden-sidecar.env" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
- {name: CLIPWARDEN_TARGET, value: {{ eq $values.transport "socket" | ternary (printf "unix:%s/clipwarden.sock" $values.socket.folder) (printf "127.0.0.1:%d" (int $values.port)) | quote }}}
{{- end -}}

{{- define "clipwarden-sidecar.annotations" -}}
{{- include "clipwarden-sidecar.checks" . -}}
checksum/clipwarden-settings: {{ include "clipwarden-sidecar.settings" . | sha256sum }}
{{- end -}}

{{/* A label holds 63 characters. */}}
{{- define "clipwarden-sidecar.labels" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{- $name := include "clipwarden-sidecar.name" . -}}
{{- if gt (len $name) 63 }}{{ $name = printf "%s-%s" (trunc 54 $name) (sha256sum $name | trunc 8) }}{{ end -}}
clipwarden/sidecar: {{ $name | quote }}
{{- end -}}

{{- define "clipwarden-sidecar.group" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{ (index .Values "clipwarden-sidecar").group | int }}
{{- end -}}

{{/* The application first, and what is left of the same seconds for the sidecar. */}}
{{- define "clipwarden-sidecar.grace" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{- with (index .Values "clipwarden-sidecar").drain }}{{ addf .applicationSeconds .seconds .marginSeconds | ceil | int }}{{ end -}}
{{- end -}}

{{- define "clipwarden-sidecar.metricsPort" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{ (index .Values "clipwarden-sidecar").ports.metrics | int }}
{{- end -}}

{{- define "clipwarden-sidecar.objects" -}}
{{- include "clipwarden-sidecar.checks" . -}}
{{- $values := index .Values "clipwarden-sidecar" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "clipwarden-sidecar.name" . }}-settings
  labels: {{- include "clipwarden-sidecar.objectLabels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- include "clipwarden-sidecar.settings" . | trim | nindent 4 }}
{{- with $values.policies.files }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "clipwarden-sidecar.name" $ }}-policies
  labels: {{- include "clipwarden-sidecar.objectLabels" $ | nindent 4 }}
data:
  {{- range $name, $text := . }}
  {{ $name | quote }}: {{ $text | toJson }}
  {{- end }}
{{- end }}
{{- with $values.metrics.podMonitor }}
{{- if .enabled }}
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "clipwarden-sidecar.name" $ }}
  labels: {{- merge (include "clipwarden-sidecar.objectLabels" $ | fromYaml) .labels | toYaml | nindent 4 }}
spec:
  # What the job is called, so that sidecars are told from servers.
  jobLabel: clipwarden/sidecar
  selector:
    matchLabels: {{- include "clipwarden-sidecar.labels" $ | nindent 6 }}
  podMetricsEndpoints:
    - port: cw-metrics
      interval: {{ .interval }}
      scrapeTimeout: {{ .scrapeTimeout }}
{{- end }}
{{- end }}
{{- end -}}
