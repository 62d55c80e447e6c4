{{/* Names and labels of every object. */}}

{{- define "clipwarden.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that the longest suffix of ours still fits into the 63 of a name. */}}
{{- define "clipwarden.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "clipwarden.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "clipwarden.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "clipwarden.selectorLabels" -}}
app.kubernetes.io/name: {{ include "clipwarden.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "clipwarden.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "clipwarden.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: clipwarden
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "clipwarden.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "clipwarden.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* A digest names one image for good, so it wins over the tag. */}}
{{- define "clipwarden.image" -}}
{{- $image := .Values.image -}}
{{- $tag := default (printf "%s%s" .Chart.AppVersion (ternary "-gpu" "" .Values.gpu.enabled)) $image.tag -}}
{{- if eq $tag "latest" -}}
{{- fail "image.tag is \"latest\", which names another image tomorrow, so that replicas differ. Write a version, or image.digest." -}}
{{- end -}}
{{- $name := empty $image.registry | ternary $image.repository (printf "%s/%s" $image.registry $image.repository) -}}
{{- empty $image.digest | ternary (printf "%s:%s" $name $tag) (printf "%s@%s" $name $image.digest) -}}
{{- end -}}

{{/* The Prometheus job, which is the name of the Service that it scrapes. */}}
{{- define "clipwarden.metricsService" -}}
{{ include "clipwarden.fullname" . }}-metrics
{{- end -}}

{{- define "clipwarden.tlsSecret" -}}
{{- .Values.tls.certManager.enabled | ternary (printf "%s-tls" (include "clipwarden.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "clipwarden.policiesConfigMap" -}}
{{- default (printf "%s-policies" (include "clipwarden.fullname" .)) .Values.policies.existingConfigMap -}}
{{- end -}}
