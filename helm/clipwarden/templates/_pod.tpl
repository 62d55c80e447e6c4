{{/* What the server and the container that prepares its start share. */}}

{{- define "clipwarden.volumeMounts" -}}
- {name: settings, mountPath: /etc/clipwarden/settings, readOnly: true}
{{- if include "clipwarden.hasPolicyFolder" . }}
# The whole folder: what is mounted by subPath never changes, and the server would see no edit.
- {name: policies, mountPath: /etc/clipwarden/policies, readOnly: true}
{{- end }}
{{- if include "clipwarden.hasModelVolume" . }}
- {name: models, mountPath: "{{ .Values.model.mountPath }}", readOnly: true}
{{- end }}
{{- if include "clipwarden.hasTls" . }}
- {name: tls, mountPath: /etc/clipwarden/tls, readOnly: true}
{{- if and .Values.tls.clientCA.enabled .Values.tls.clientCA.existingSecret }}
- {name: client-ca, mountPath: /etc/clipwarden/client-ca, readOnly: true}
{{- end }}
{{- end }}
{{- if .Values.tokens.existingSecret }}
- {name: tokens, mountPath: /etc/clipwarden/tokens, readOnly: true}
{{- end }}
- {name: vector-cache, mountPath: /var/cache/clipwarden}
- {name: tmp, mountPath: /tmp}
{{- if include "clipwarden.hasAuditFile" . }}
{{- if .Values.auditLog.existingClaim }}
- {name: audit, mountPath: "{{ .Values.auditLog.mountPath }}", subPathExpr: $(POD_NAME)}
{{- else }}
- {name: audit, mountPath: "{{ .Values.auditLog.mountPath }}"}
{{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "clipwarden.volumes" -}}
- name: settings
  configMap: {name: "{{ include "clipwarden.fullname" . }}-settings"}
{{- if include "clipwarden.hasPolicyFolder" . }}
- name: policies
  configMap: {name: "{{ include "clipwarden.policiesConfigMap" . }}"}
{{- end }}
{{- if include "clipwarden.hasModelVolume" . }}
- name: models
  {{- if .Values.model.existingClaim }}
  persistentVolumeClaim: {claimName: "{{ .Values.model.existingClaim }}", readOnly: true}
  {{- else }}
  {{- toYaml .Values.model.volume | nindent 2 }}
  {{- end }}
{{- end }}
{{- if include "clipwarden.hasTls" . }}
# Readable for the group, fsGroup, and nobody else.
- name: tls
  secret: {secretName: "{{ include "clipwarden.tlsSecret" . }}", defaultMode: 0440}
{{- if and .Values.tls.clientCA.enabled .Values.tls.clientCA.existingSecret }}
- name: client-ca
  secret: {secretName: "{{ .Values.tls.clientCA.existingSecret }}", defaultMode: 0440}
{{- end }}
{{- end }}
{{- if .Values.tokens.existingSecret }}
- name: tokens
  secret: {secretName: "{{ .Values.tokens.existingSecret }}", defaultMode: 0440}
{{- end }}
- name: vector-cache
  {{- if .Values.vectorCache.existingClaim }}
  persistentVolumeClaim: {claimName: "{{ .Values.vectorCache.existingClaim }}"}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.vectorCache.sizeLimit }}}
  {{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if include "clipwarden.hasAuditFile" . }}
- name: audit
  {{- if .Values.auditLog.existingClaim }}
  persistentVolumeClaim: {claimName: "{{ .Values.auditLog.existingClaim }}"}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.auditLog.sizeLimit }}}
  {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "clipwarden.env" -}}
{{- if and (include "clipwarden.hasAuditFile" .) .Values.auditLog.existingClaim }}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
# glibc takes large pages where the node lets it: some 2 % less processor time an image.
- {name: GLIBC_TUNABLES, value: glibc.malloc.hugetlb=1}
{{- if .Values.gpu.enabled }}
# Kernels that CUDA compiles for a GPU that the image has none for; its usual place, the home folder, is read-only.
- {name: CUDA_CACHE_PATH, value: /var/cache/clipwarden/cuda}
- {name: CUDA_CACHE_MAXSIZE, value: "134217728"}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "clipwarden.resources" -}}
{{- $resources := deepCopy (default dict .Values.resources) -}}
{{- if .Values.gpu.enabled -}}
{{- $limits := merge (dict .Values.gpu.resourceName (int .Values.gpu.count)) (default dict $resources.limits) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "clipwarden.tolerations" -}}
{{- $all := default list .Values.tolerations -}}
{{- if .Values.gpu.enabled }}{{ $all = concat $all (default list .Values.gpu.tolerations) }}{{ end -}}
{{- with $all }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "clipwarden.topologySpread" -}}
{{- $labels := dict "matchLabels" (include "clipwarden.selectorLabels" . | fromYaml) -}}
{{- $usual := list
  (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash"))
  (dict "maxSkew" 1 "topologyKey" "topology.kubernetes.io/zone" "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash"))
-}}
{{- $all := list -}}
{{- range .Values.topologySpread.constraints | default $usual -}}
{{- $all = append $all (set (deepCopy .) "labelSelector" $labels) -}}
{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{- define "clipwarden.strategy" -}}
{{- $surge := dict "maxSurge" 1 "maxUnavailable" 0 -}}
{{- if .Values.gpu.enabled }}{{ $surge = dict "maxSurge" 0 "maxUnavailable" 1 }}{{ end -}}
{{- toYaml (.Values.strategy | default (dict "type" "RollingUpdate" "rollingUpdate" $surge)) -}}
{{- end -}}
