{{/* The gRPC port of a Service: a dict of `root` and `port`. */}}
{{- define "clipwarden.grpcPort" -}}
{{- $plain := include "clipwarden.hasTls" .root | empty | ternary "kubernetes.io/h2c" "" -}}
- name: grpc
  port: {{ .port }}
  targetPort: grpc
  protocol: TCP
  {{- with .root.Values.service.appProtocol | default $plain }}
  appProtocol: {{ . }}
  {{- end }}
{{- end -}}
