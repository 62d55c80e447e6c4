"""Values that are wrong are refused before anything reaches a cluster, with a line that says which and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.platform.kit import CHART, HELM3, Values, beside_application, refusal
from tests.platform.settingsschema import FILES, with_settings

OF_PROBES = ("initialDelaySeconds", "successThreshold")

BY_SCHEMA: list[tuple[Values, str]] = [
    ({"replica": 3}, "at '': additional properties 'replica' not allowed"),
    ({"replicas": "three"}, "at '/replicas': got string, want integer"),
    ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    ({"image": {"tags": "1"}}, "at '/image': additional properties 'tags' not allowed"),
    (
        {"image": {"pullPolicy": "Sometimes"}},
        "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
    ),
    ({"image": {"digest": "sha256:12"}}, "at '/image/digest': 'sha256:12' does not match pattern"),
    ({"image": {"tag": "a tag"}}, "at '/image/tag': 'a tag' does not match pattern"),
    ({"model": {"name": "vit-b-32"}}, "at '/model/name': 'vit-b-32' does not match pattern '^(mini|/.+)$'"),
    ({"model": {"folder": "/vit"}}, "at '/model/folder': '/vit' does not match pattern"),
    ({"model": {"existingClaim": "My Claim"}}, "at '/model/existingClaim': 'My Claim' does not match pattern"),
    (
        {"policies": {"files": {"shop.txt": "api"}}},
        "at '/policies/files': additional properties 'shop.txt' not allowed",
    ),
    ({"policies": {"load": "shop.yaml"}}, "at '/policies/load': got string, want array"),
    ({"settings": {"queue_item": 5}}, "at '/settings': additional properties 'queue_item' not allowed"),
    ({"settings": {"queue_items": "many"}}, "at '/settings/queue_items': got string, want integer"),
    ({"settings": {"queue_bytes": "1 gigabyte"}}, "at '/settings/queue_bytes': '1 gigabyte' does not match pattern"),
    ({"settings": {"reflection": "no"}}, "at '/settings/reflection': got string, want boolean"),
    ({"ports": {"grpc": 70000}}, "at '/ports/grpc': maximum: got 70,000, want 65,535"),
    ({"drain": {"seconds": -1}}, "at '/drain/seconds': minimum: got -1, want 0"),
    ({"connectionAgeSeconds": "5m"}, "at '/connectionAgeSeconds': got string, want number"),
    ({"drain": {"marginSeconds": 0}}, "at '/drain/marginSeconds': minimum: got 0, want 2"),
    ({"probes": {"startup": {"period": 1}}}, "at '/probes/startup': additional properties 'period' not allowed"),
    ({"tls": {"enabled": True}}, "at '/tls': additional properties 'enabled' not allowed"),
    (
        {"tls": {"certManager": {"duration": "90 days"}}},
        "at '/tls/certManager/duration': '90 days' does not match pattern",
    ),
    ({"resources": {"limits": {"memory": "3GB"}}}, "at '/resources/limits/memory': '3GB' does not match pattern"),
    ({"resources": {"limit": {}}}, "at '/resources': additional properties 'limit' not allowed"),
    ({"gpu": {"provider": "cuda"}}, "at '/gpu/provider': 'cuda' does not match pattern"),
    ({"service": {"type": "clusterip"}}, "at '/service/type': value must be one of"),
    ({"autoscaling": {"type": "vpa"}}, "at '/autoscaling/type': value must be one of 'none', 'hpa', 'keda'"),
    (
        {"autoscaling": {"keda": {"queueAgeSeconds": 0.5}}},
        "at '/autoscaling/keda/queueAgeSeconds': got number, want string",
    ),
    (
        {"podDisruptionBudget": {"maxUnavailable": "half"}},
        "at '/podDisruptionBudget/maxUnavailable': 'half' does not match",
    ),
    ({"networkPolicy": {"clients": {"podSelector": {}}}}, "at '/networkPolicy/clients': got object, want array"),
    ({"auditLog": {"destination": "stderr"}}, "at '/auditLog/destination': value must be one of 'stdout', 'file'"),
    ({"metrics": {"prometheusRule": {"thresholds": {"refusedShare": 5}}}}, "refusedShare': maximum: got 5, want 1"),
    ({"terminationGracePeriodSeconds": "30s"}, "at '/terminationGracePeriodSeconds': got string, want"),
    ({"commonLabels": {"version": 1}}, "at '/commonLabels/version': got number, want string"),
]

BY_TEMPLATE: list[tuple[Values, str]] = [
    ({"image": {"tag": "latest"}}, 'image.tag is "latest", which names another image tomorrow'),
    ({"terminationGracePeriodSeconds": 30}, "is 30, but draining takes up to 35 s"),
    ({"drain": {"seconds": 119.5}, "terminationGracePeriodSeconds": 134}, "draining takes up to 135 s"),
    ({"model": {"folder": "vit"}}, 'model.folder is "vit", but there is no volume to find it in'),
    ({"model": {"existingClaim": "a", "volume": {"nfs": {}}}}, "model.existingClaim and model.volume are both set"),
    ({"policies": {"load": ["shop.yaml"]}}, 'policies.load names "shop.yaml", which is no key of policies.files'),
    ({"policies": {"candidates": ["a.yml"]}}, 'policies.candidates names "a.yml", which is no key of policies.files'),
    ({"policies": {"existingConfigMap": "a"}}, "Name those to load in policies.load"),
    (
        {"policies": {"existingConfigMap": "a", "files": {"a.yaml": "x"}}},
        "this chart does not write to a ConfigMap of yours",
    ),
    (
        {"policies": {"files": {"a.yaml": "x", "b.yaml": "y"}, "candidates": ["b.yaml"]}},
        "Name the live ones in policies.load",
    ),
    ({"policies": {"files": {"a.yaml": "x" * 1_000_001}}}, "and a ConfigMap holds 1 MiB"),
    ({"settings": {"listen": "0.0.0.0:1"}}, "settings.listen is written by the chart. Set bindAddress and ports.grpc"),
    ({"settings": {"drain_seconds": 5}}, "settings.drain_seconds is written by the chart. Set drain.seconds instead."),
    ({"tls": {"existingSecret": "a", "certManager": {"enabled": True}}}, "Keep one of them"),
    ({"tls": {"certManager": {"enabled": True}}}, "Set tls.certManager.issuerRef.name"),
    ({"tls": {"clientCA": {"enabled": True}}}, "but the server has none of its own"),
    ({"tokens": {"existingSecret": "a"}}, "so that tokens would cross the network in the clear"),
    ({"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}, "autoscaling.maxReplicas (3) is below"),
    (
        {
            "autoscaling": {
                "type": "hpa",
                "hpa": {"queueAge": {"enabled": False}, "refusals": {"enabled": False}},
            }
        },
        "none of autoscaling.hpa.queueAge, refusals and cpu is enabled",
    ),
    ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "nothing can be scraped or alerted on"),
    ({"metrics": {"enabled": False}, "autoscaling": {"type": "keda"}}, "an autoscaler has nothing to go by"),
    ({"ports": {"probe": 9464}}, "ports.grpc, ports.probe and ports.metrics must differ"),
]

OF_THE_SIDECAR: list[tuple[Values, str]] = [
    ({"transport": "tcp"}, "at '/transport': value must be one of 'socket', 'loopback'"),
    ({"sockets": {}}, "at '': additional properties 'sockets' not allowed"),
    ({"socket": {"mode": "rw"}}, "at '/socket/mode': 'rw' does not match pattern"),
    ({"settings": {"queue_item": 1}}, "at '/settings': additional properties 'queue_item' not allowed"),
    ({"settings": {"listen": ""}}, "clipwarden-sidecar.settings.listen is written by the chart"),
    ({"settings": {"unix_socket_mode": "777"}}, "Set socket.mode instead"),
    ({"image": {"tag": "latest"}}, 'clipwarden-sidecar.image.tag is "latest"'),
    ({"model": {"folder": "vit"}}, "there is no volume to find it in"),
    (
        {"policies": {"existingConfigMap": "a", "files": {"a.yaml": "x"}}},
        "existingConfigMap goes without policies.files",
    ),
    ({"policies": {"files": {"a.yaml": "x"}, "load": [], "candidates": ["b"]}}, "Name the live ones in policies.load"),
]


def _names(cases: list[tuple[Values, str]]) -> list[str]:
    return [json.dumps(values)[:60] for values, _ in cases]


@pytest.mark.parametrize(("values", "said"), BY_SCHEMA, ids=_names(BY_SCHEMA))
def test_the_schema_says_what_is_wrong_in_one_line(values: Values, said: str) -> None:
    message = refusal(values)
    assert said in message
    assert "values don't meet the specifications of the schema" in message
    (_,) = [line for line in message.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize(("values", "said"), BY_TEMPLATE, ids=_names(BY_TEMPLATE))
def test_what_contradicts_itself_is_refused_with_what_to_write_instead(values: Values, said: str) -> None:
    assert said in refusal(values)


@pytest.mark.parametrize(("values", "said"), OF_THE_SIDECAR, ids=_names(OF_THE_SIDECAR))
def test_values_of_the_sidecar_are_refused_as_well(values: Values, said: str, example: Path) -> None:
    assert said in refusal(beside_application(values), example)


def test_helm_3_refuses_the_same() -> None:
    for values, _ in [*BY_SCHEMA[::4], *BY_TEMPLATE[::4]]:
        assert refusal(values, CHART, helm=HELM3)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_schema_knows_the_settings_of_the_server(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == with_settings(file), "run: python -m tests.platform.settingsschema"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_the_schema_and_the_values_have_the_same_keys(file: Path) -> None:
    schema = json.loads(file.read_text(encoding="utf-8"))
    values = yaml.safe_load((file.parent / "values.yaml").read_text(encoding="utf-8"))
    assert sorted(_unlike(schema, schema["properties"], values, "")) == sorted(NO_DEFAULT[file.parent.name])


NO_DEFAULT = {
    "clipwarden": [
        ".autoscaling.keda.authenticationRef.kind",
        ".autoscaling.keda.authenticationRef.name",
        ".global",
        ".resources.claims",
        ".strategy.rollingUpdate",
        ".strategy.type",
        *(f".probes.{probe}.{key}" for probe in ("startup", "readiness", "liveness") for key in OF_PROBES),
    ],
    "clipwarden-sidecar": [
        ".global",
        ".resources.claims",
        *(f".probes.{probe}.{key}" for probe in ("startup", "readiness", "liveness") for key in OF_PROBES),
    ],
}
"""Keys that may be set and that the values leave to Helm, Kubernetes or KEDA."""


def _unlike(schema: Values, properties: Values, values: Values, path: str) -> Iterator[str]:
    """Keys that only the schema has, or only the values."""
    yield from (f"{path}.{key}" for key in properties.keys() ^ values.keys())
    for key in properties.keys() & values.keys():
        within = properties[key]
        within = schema["definitions"][within["$ref"].rpartition("/")[2]] if "$ref" in within else within
        if "properties" in within and key != "settings":
            yield from _unlike(schema, within["properties"], values[key], f"{path}.{key}")
