"""The matrix: values of either chart that people set, by what they are about."""

from tests.platform.kit import Values

POLICY = """\
api: clipwarden/v1
metadata: {id: shop}
"""
"""Enough of a policy to stand in a ConfigMap."""

CHART_CASES: dict[str, Values] = {
    "defaults": {},
    "everything off": {
        "vectorCache": {"prefill": False},
        "service": {"headless": {"enabled": False}},
        "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "metrics": {"enabled": False},
        "topologySpread": {"enabled": False},
    },
    "gpu": {"gpu": {"enabled": True, "runtimeClassName": "nvidia"}, "settings": {"max_batch": 32}},
    "policies in the values": {
        "policies": {
            "files": {"shop.yaml": POLICY, "chat.yaml": POLICY, "shop-next.yaml": POLICY},
            "load": ["shop.yaml", "chat.yaml", "stickers"],
            "candidates": ["shop-next.yaml"],
            "default": "shop",
        }
    },
    "policies of another hand": {"policies": {"existingConfigMap": "policies", "load": ["shop.yaml", "chat.bundle"]}},
    "a model from a claim": {
        "model": {"existingClaim": "models", "folder": "vit-b-32"},
        "policies": {"load": ["/models/shop.bundle"]},
        "vectorCache": {"existingClaim": "vectors"},
    },
    "a model from elsewhere": {
        "model": {"volume": {"nfs": {"server": "nfs.example", "path": "/models"}}, "folder": "vit"}
    },
    "tls from a secret": {
        "tls": {"existingSecret": "certificate", "clientCA": {"enabled": True, "existingSecret": "authority"}},
        "metrics": {"prometheusRule": {"enabled": True}},
    },
    "tls from cert-manager": {
        "tls": {
            "certManager": {"enabled": True, "issuerRef": {"name": "internal"}, "extraDnsNames": ["judge.example"]},
            "clientCA": {"enabled": True},
        },
        "tokens": {"existingSecret": "tokens"},
    },
    "tokens in a mesh": {"tokens": {"existingSecret": "tokens", "key": "callers", "allowPlaintext": True}},
    "hpa": {"autoscaling": {"type": "hpa"}},
    "hpa on cpu alone": {
        "autoscaling": {
            "type": "hpa",
            "hpa": {
                **{name: {"enabled": False} for name in ("busy", "queueAge", "refusals")},
                "cpu": {"enabled": True},
            },
        },
        "metrics": {"enabled": False},
    },
    "keda": {
        "autoscaling": {
            "type": "keda",
            "keda": {"authenticationRef": {"name": "prometheus", "kind": "ClusterTriggerAuthentication"}},
        }
    },
    "monitored": {
        "metrics": {
            "serviceMonitor": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
                "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "clipwarden_batch.*", "action": "drop"}],
            },
            "prometheusRule": {"enabled": True, "alertLabels": {"team": "trust"}, "disabled": ["ClipwardenLate"]},
            "dashboard": {"enabled": True, "annotations": {"folder": "trust"}},
        }
    },
    "audit log to stdout": {"auditLog": {"enabled": True}, "settings": {"audit_scores": True, "audit_chain": True}},
    "audit log to a file": {
        "auditLog": {"enabled": True, "destination": "file"},
        "extraContainers": [{"name": "collector", "image": "collector:1"}],
        "metrics": {"prometheusRule": {"enabled": True}},
    },
    "audit log to a claim": {"auditLog": {"enabled": True, "destination": "file", "existingClaim": "audit"}},
    "network": {
        "networkPolicy": {
            "clients": [{"namespaceSelector": {"matchLabels": {"team": "uploads"}}}],
            "monitoring": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}],
        },
        "service": {
            "type": "LoadBalancer",
            "port": 443,
            "ipFamilyPolicy": "PreferDualStack",
            "appProtocol": "grpc",
            "nodePort": 30051,
            "externalTrafficPolicy": "Local",
            "loadBalancerClass": "example.com/internal",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
        },
        "bindAddress": "[::]",
    },
    "scheduling": {
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "priorityClassName": "serving",
        "topologySpread": {
            "constraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]
        },
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "terminationGracePeriodSeconds": 120,
        "imagePullSecrets": [{"name": "registry"}],
    },
    "names and extras": {
        "fullnameOverride": "judge",
        "commonLabels": {"team": "trust", "app.kubernetes.io/part-of": "uploads"},
        "podLabels": {"sidecar.istio.io/inject": "true", "team": "safety"},
        "podAnnotations": {"note": "one", "kubectl.kubernetes.io/default-container": "collector"},
        "metrics": {
            "serviceMonitor": {"enabled": True, "labels": {"team": "ops"}},
            "prometheusRule": {"enabled": True, "labels": {"team": "ops"}, "alertLabels": {"severity": "page"}},
            "dashboard": {"enabled": True, "labels": {"team": "ops"}},
        },
        "serviceAccount": {"annotations": {"note": "two"}},
        "image": {"registry": "registry.example:5000", "digest": "sha256:" + "0" * 64},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}},
            "apiVersion: v1\nkind: Secret\nmetadata: {name: '{{ .Release.Name }}-text'}\n",
        ],
    },
    "numbers": {
        "settings": {"queue_bytes": 1073741824, "stall_seconds": 12.5, "reflection": False, "queue_items": 1024}
    },
}
"""Values of the chart `clipwarden`."""

SIDECAR_CASES: dict[str, Values] = {
    "defaults": {},
    "loopback": {"transport": "loopback", "port": 50052, "metrics": {"enabled": False}, "prefill": False},
    "a shared volume": {"shared": {"volume": "uploads", "mountPath": "/uploads"}},
    "a shared volume on loopback": {"transport": "loopback", "shared": {"volume": "uploads"}},
    "policies in the values": {
        "policies": {
            "files": {"shop.yaml": POLICY, "next.yaml": POLICY},
            "load": ["shop.yaml"],
            "candidates": ["next.yaml"],
            "default": "shop",
        }
    },
    "policies of another hand": {"policies": {"existingConfigMap": "policies", "load": ["shop.yaml"]}},
    "a model from a claim": {
        "model": {"existingClaim": "models", "folder": "vit-b-32"},
        "image": {"registry": "registry.example", "digest": "sha256:" + "1" * 64},
        "settings": {"max_image_bytes": 31457280, "max_message_bytes": "32MiB"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
    },
    "monitored": {"metrics": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
    "an audit log in a file": {
        "shared": {"volume": ""},
        "settings": {"audit_log": "/var/log/clipwarden/verdicts.jsonl"},
        "extraVolumeMounts": [{"name": "uploads", "mountPath": "/var/log/clipwarden", "subPath": "audit"}],
    },
}
"""Values of the chart `clipwarden-sidecar`, as an application has them under its name."""
