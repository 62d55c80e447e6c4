{{/* The gRPC port of a Service: a dict of `root`, `port` and, where it is open on nodes, `nodePort`. */}}
{{- define "clipwarden.grpcPort" -}}
{{- $plain := include "clipwarden.hasTls" .root | empty | ternary "kubernetes.io/h2c" "" -}}
- name: grpc
  port: {{ .port }}
  targetPort: grpc
  {{- with .nodePort }}
  nodePort: {{ . }}
  {{- end }}
  protocol: TCP
  {{- with .root.Values.service.appProtocol | default $plain }}
  appProtocol: {{ . | quote }}
  {{- end }}
{{- end -}}
