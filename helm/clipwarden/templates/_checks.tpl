{{/* What no schema can say: values that contradict one another end the rendering with a sentence. */}}

{{/* The least seconds that a pod needs to drain, rounded up. */}}
{{- define "clipwarden.leastGrace" -}}
{{- with .Values.drain }}{{ addf .delaySeconds .seconds .marginSeconds | ceil | int }}{{ end -}}
{{- end -}}

{{- define "clipwarden.grace" -}}
{{- $least := include "clipwarden.leastGrace" . | int -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- if kindIs "invalid" $given -}}
{{ $least }}
{{- else if lt (int $given) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, but draining takes up to %d s (drain.delaySeconds + drain.seconds + drain.marginSeconds), so calls that were accepted would be lost. Write %d or more, or lower those." (int $given) $least $least) -}}
{{- else -}}
{{ int $given }}
{{- end -}}
{{- end -}}

{{- define "clipwarden.checks" -}}
{{- $values := .Values -}}
{{- if and $values.model.folder (not (include "clipwarden.hasModelVolume" .)) -}}
{{- fail (printf "model.folder is %q, but there is no volume to find it in. Set model.existingClaim or model.volume; for a folder in the image set model.name to its path." $values.model.folder) -}}
{{- end -}}
{{- if and $values.model.existingClaim $values.model.volume -}}
{{- fail "model.existingClaim and model.volume are both set. Keep one of them." -}}
{{- end -}}
{{- with $values.policies -}}
{{- if and .existingConfigMap .files -}}
{{- fail "policies.files and policies.existingConfigMap are both set. Keep one: this chart does not write to a ConfigMap of yours." -}}
{{- end -}}
{{- if and .existingConfigMap (not .load) -}}
{{- fail "policies.existingConfigMap is set, and the chart cannot see its keys. Name those to load in policies.load, such as [shop.yaml]." -}}
{{- end -}}
{{- range $list, $names := dict "load" .load "candidates" .candidates -}}
{{- range $name := $names -}}
{{- if and (not (hasPrefix "/" $name)) (regexMatch "\\.(ya?ml|bundle)$" $name) (not $values.policies.existingConfigMap) (not (hasKey (default dict $values.policies.files) $name)) -}}
{{- fail (printf "policies.%s names %q, which is no key of policies.files. Add the file, or write a path from / on for one that a volume or the image has." $list $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if gt (len (toJson .files)) 1000000 -}}
{{- fail (printf "policies.files come to %d bytes, and a ConfigMap holds 1 MiB. Compile them to bundles (clipwarden compile), put those on the models' volume, and name their paths in policies.load." (len (toJson .files))) -}}
{{- end -}}
{{- if and .files .candidates (not .load) -}}
{{- fail "policies.candidates is set and policies.load is not, so that the candidates would be loaded as policies as well. Name the live ones in policies.load." -}}
{{- end -}}
{{- end -}}
{{- with $values.tls -}}
{{- if and .existingSecret .certManager.enabled -}}
{{- fail "tls.existingSecret and tls.certManager.enabled are both set. Keep one of them." -}}
{{- end -}}
{{- if and .certManager.enabled (not .certManager.issuerRef.name) -}}
{{- fail "tls.certManager.enabled needs an issuer. Set tls.certManager.issuerRef.name." -}}
{{- end -}}
{{- if and .clientCA.enabled (not (include "clipwarden.hasTls" $)) -}}
{{- fail "tls.clientCA.enabled asks callers for certificates, but the server has none of its own. Set tls.existingSecret or tls.certManager.enabled." -}}
{{- end -}}
{{- end -}}
{{- if and $values.tokens.existingSecret (not (include "clipwarden.hasTls" .)) (not $values.tokens.allowPlaintext) -}}
{{- fail "tokens.existingSecret is set without TLS, so that tokens would cross the network in the clear. Set tls.existingSecret or tls.certManager.enabled; where a mesh encrypts, set tokens.allowPlaintext to true." -}}
{{- end -}}
{{- with $values.autoscaling -}}
{{- if lt (int .maxReplicas) (int .minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas (%d) is below autoscaling.minReplicas (%d)." (int .maxReplicas) (int .minReplicas)) -}}
{{- end -}}
{{- if and (eq .type "hpa") (not (or .hpa.busy.enabled .hpa.queueAge.enabled .hpa.refusals.enabled .hpa.cpu.enabled)) -}}
{{- fail "autoscaling.type is hpa, and none of autoscaling.hpa.busy, queueAge, refusals and cpu is enabled. Enable one." -}}
{{- end -}}
{{- end -}}
{{- if not $values.metrics.enabled -}}
{{- if or $values.metrics.serviceMonitor.enabled $values.metrics.prometheusRule.enabled -}}
{{- fail "metrics.enabled is false, so that nothing can be scraped or alerted on. Set it to true, or turn metrics.serviceMonitor and metrics.prometheusRule off." -}}
{{- end -}}
{{- if or (eq $values.autoscaling.type "keda") (and (eq $values.autoscaling.type "hpa") (or $values.autoscaling.hpa.busy.enabled $values.autoscaling.hpa.queueAge.enabled $values.autoscaling.hpa.refusals.enabled)) -}}
{{- fail "metrics.enabled is false, so that an autoscaler has nothing to go by. Set it to true, or scale on CPU alone." -}}
{{- end -}}
{{- end -}}
{{- $ports := list (int $values.ports.grpc) (int $values.ports.probe) (int $values.ports.metrics) -}}
{{- if lt (len (uniq $ports)) 3 -}}
{{- fail (printf "ports.grpc, ports.probe and ports.metrics must differ, and are %v." $ports) -}}
{{- end -}}
{{- range list "Names" "Model" "Times" "Replicas" }}{{ include (printf "clipwarden.check%s" .) $ }}{{ end -}}
{{- end -}}
