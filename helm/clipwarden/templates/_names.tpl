{{/* Names and labels of every object. */}}

{{- define "clipwarden.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that the longest suffix of ours still fits into the 63 of a name; Services know no dots. */}}
{{- define "clipwarden.fullname" -}}
{{- $name := printf "%s-%s" .Release.Name (include "clipwarden.name" .) -}}
{{- if .Values.fullnameOverride }}{{ $name = .Values.fullnameOverride }}{{ else if contains (include "clipwarden.name" .) .Release.Name }}{{ $name = .Release.Name }}{{ end -}}
{{- $name | replace "." "-" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Values are written by toYaml, which quotes what YAML would read as a number or a switch. */}}
{{- define "clipwarden.selectorLabels" -}}
{{- toYaml (dict "app.kubernetes.io/name" (include "clipwarden.name" .) "app.kubernetes.io/instance" .Release.Name) -}}
{{- end -}}

{{- define "clipwarden.labels" -}}
{{- include "clipwarden.labelsAnd" (dict "root" . "more" dict) -}}
{{- end -}}

{{/* Labels of an object that has some of its own: a dict of `root` and `more`. One map, so that no key comes twice. */}}
{{- define "clipwarden.labelsAnd" -}}
{{- $root := .root -}}
{{- $labels := include "clipwarden.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "clipwarden" -}}
{{- toYaml (mergeOverwrite $labels (default dict $root.Values.commonLabels) (default dict .more)) -}}
{{- end -}}

{{/* No version among them: a chart that renders the same pods must not replace them. */}}
{{- define "clipwarden.podLabels" -}}
{{- toYaml (mergeOverwrite (include "clipwarden.selectorLabels" . | fromYaml) (default dict .Values.commonLabels) (default dict .Values.podLabels)) -}}
{{- end -}}

{{/* New settings need new pods. Policies, certificates and tokens are taken over by running ones, and stand in no sum. */}}
{{- define "clipwarden.podAnnotations" -}}
{{- $own := dict "checksum/settings" (include "clipwarden.settings" . | sha256sum) "kubectl.kubernetes.io/default-container" "clipwarden" -}}
{{- toYaml (mergeOverwrite $own (default dict .Values.podAnnotations)) -}}
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

{{- define "clipwarden.metricsService" -}}
{{ include "clipwarden.fullname" . }}-metrics
{{- end -}}

{{/* What tells this release's series from all others. The operator calls a job by the Service that it scrapes. */}}
{{- define "clipwarden.of" -}}
{{- printf "namespace=%q,job=%q" .Release.Namespace (default (include "clipwarden.metricsService" .) .Values.metrics.job) -}}
{{- end -}}

{{- define "clipwarden.tlsSecret" -}}
{{- .Values.tls.certManager.enabled | ternary (printf "%s-tls" (include "clipwarden.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "clipwarden.policiesConfigMap" -}}
{{- default (printf "%s-policies" (include "clipwarden.fullname" .)) .Values.policies.existingConfigMap -}}
{{- end -}}
