"""Values that are wrong are refused before anything reaches a cluster, with a line that says which and why."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.platform.kit import CHART, HELM3, Values, beside_application, read, refusal, render, template
from tests.platform.settingsschema import FILES, with_settings
from tests.platform.test_render import unknown

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
    ({"nameOverride": "My_Judge"}, "at '/nameOverride': 'My_Judge' does not match pattern"),
    ({"fullnameOverride": "a b"}, "at '/fullnameOverride': 'a b' does not match pattern"),
    ({"settings": {"log_level": "verbose"}}, "must be one of 'debug', 'info', 'warning', 'error'"),
    ({"settings": {"scheduling": "fifo"}}, "at '/settings/scheduling': value must be one of 'batch', 'inherit'"),
    ({"settings": {"path_callers": "unx"}}, "at '/settings/path_callers': value must be one of 'unix', 'all'"),
    ({"settings": {"queue_items": 0}}, "at '/settings/queue_items': minimum: got 0, want 1"),
    ({"settings": {"encoder_runs": -5}}, "at '/settings/encoder_runs': minimum: got -5, want 0"),
    ({"settings": {"default_deadline_seconds": -1}}, "default_deadline_seconds': minimum: got -1, want 0"),
    ({"settings": {"max_connections": "many"}}, "at '/settings/max_connections': got string, want integer"),
    (
        {"metrics": {"prometheusRule": {"disabled": ["ClipwardenRefusess"]}}},
        "at '/metrics/prometheusRule/disabled/0': value must be one of",
    ),
    (
        {"podSecurityContext": {"runAsNonroot": True}},
        "at '/podSecurityContext': additional properties 'runAsNonroot' not allowed",
    ),
    (
        {"containerSecurityContext": {"readOnlyRootFileSystem": True}},
        "at '/containerSecurityContext': additional properties 'readOnlyRootFileSystem' not allowed",
    ),
    (
        {"affinity": {"podAntiAfinity": {}}},
        "at '/affinity': additional properties 'podAntiAfinity' not allowed",
    ),
    (
        {"tolerations": [{"key": "a", "opertor": "Exists"}]},
        "at '/tolerations/0': additional properties 'opertor' not allowed",
    ),
    (
        {"networkPolicy": {"clients": [{"podSelectr": {}}]}},
        "at '/networkPolicy/clients/0': additional properties 'podSelectr' not allowed",
    ),
    ({"extraVolumeMounts": [{"name": "a", "mounthPath": "/a"}]}, "at '/extraVolumeMounts/0': "),
    ({"strategy": {"rollingUpdate": {"maxSurge": "abc"}}}, "maxSurge': 'abc' does not match pattern"),
    ({"podDisruptionBudget": {"maxUnavailable": "150%"}}, "maxUnavailable': '150%' does not match pattern"),
    ({"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable': minimum: got 0, want 1"),
    ({"probes": {"liveness": {"successThreshold": 2}}}, "at '/probes/liveness/successThreshold': value must be 1"),
    ({"tls": {"certManager": {"duration": "90d"}}}, "at '/tls/certManager/duration': '90d' does not match pattern"),
    ({"metrics": {"serviceMonitor": {"interval": "30s1m"}}}, "interval': '30s1m' does not match pattern"),
    ({"model": {"volume": {"csi": {}, "nfs": {}}}}, "at '/model/volume': maxProperties: got 2, want 1"),
    ({"model": {"mountPath": "/models/"}}, "at '/model/mountPath': '/models/' does not match pattern"),
    ({"model": {"folder": "../etc"}}, "at '/model/folder': '../etc' does not match pattern"),
    ({"bindAddress": "localhost"}, "at '/bindAddress': value must be one of '0.0.0.0', '[::]'"),
    ({"imagePullSecrets": [{}]}, "at '/imagePullSecrets/0': missing property 'name'"),
    ({"tokens": {"key": ".."}}, "at '/tokens/key': '..' does not match pattern"),
    ({"autoscaling": {"keda": {"serverAddress": "https://"}}}, "serverAddress': 'https://' does not match pattern"),
    ({"autoscaling": {"keda": {"fallback": {"behavior": "keep"}}}}, "behavior': value must be one of"),
    ({"gpu": {"count": 2}}, "at '/gpu/count': value must be 1"),
    ({"metrics": None}, "at '': missing property 'metrics'"),
    ({"ports": {"grpc": None}}, "at '/ports': missing property 'grpc'"),
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
                "hpa": {name: {"enabled": False} for name in ("busy", "queueAge", "refusals")},
            }
        },
        "none of autoscaling.hpa.busy, queueAge, refusals and cpu is enabled",
    ),
    ({"metrics": {"enabled": False, "serviceMonitor": {"enabled": True}}}, "nothing can be scraped or alerted on"),
    ({"metrics": {"enabled": False}, "autoscaling": {"type": "keda"}}, "an autoscaler has nothing to go by"),
    ({"ports": {"probe": 9464}}, "ports.grpc, ports.probe and ports.metrics must differ"),
    ({"model": {"existingClaim": "models"}}, "nothing says which folder of it"),
    (
        {"autoscaling": {"type": "keda", "maxReplicas": 3}},
        "replicas is 4; write a number from autoscaling.minReplicas (2) to autoscaling.maxReplicas (3)",
    ),
    ({"autoscaling": {"type": "keda", "minReplicas": 5}}, "fallback.replicas is 4"),
    (
        {"autoscaling": {"type": "keda"}, "metrics": {"serviceMonitor": {"enabled": True, "interval": "1m"}}},
        "needs four scrapes of metrics.serviceMonitor.interval (1m). Write 240s or more",
    ),
    ({"metrics": {"serviceMonitor": {"enabled": True, "interval": "5s"}}}, "scrapeTimeout (10s) is longer than its"),
    ({"commonLabels": {"app.kubernetes.io/name": "judge"}}, "commonLabels sets app.kubernetes.io/name, which"),
    ({"podLabels": {"app.kubernetes.io/instance": "a"}}, "podLabels sets app.kubernetes.io/instance, which"),
    ({"commonLabels": {"app.kubernetes.io/component": "a"}}, "commonLabels sets app.kubernetes.io/component, which"),
    ({"podAnnotations": {"checksum/settings": "a"}}, "podAnnotations sets checksum/settings, which"),
    ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, 'extraVolumes has one called "tmp"'),
    ({"model": {"mountPath": "/tmp"}}, "model.mountPath is /tmp, where the chart mounts /tmp"),  # noqa: S108  refused
    ({"auditLog": {"mountPath": "/etc"}}, "auditLog.mountPath is /etc, where the chart mounts /etc/clipwarden"),
    ({"auditLog": {"enabled": True}, "drain": {"marginSeconds": 2}}, "with auditLog.enabled it takes 7"),
    (
        {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "a"}, "duration": "24h"}}},
        "renewBefore (720h) has to be less than tls.certManager.duration (24h)",
    ),
    (
        {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "a", "kind": "ClusterIsuer"}}}},
        "cert-manager itself has Issuer and ClusterIssuer",
    ),
    ({"minReadySeconds": 600}, "progressDeadlineSeconds (600) has to be more than minReadySeconds (600)"),
    ({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}}, "takes no strategy.rollingUpdate"),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}, "no pod could ever be replaced"),
    ({"service": {"nodePort": 30051}}, "are for NodePort and LoadBalancer, and service.type is ClusterIP"),
    ({"service": {"type": "NodePort", "loadBalancerClass": "a"}}, "are for LoadBalancer, and service.type is NodePort"),
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
    ({"policies": {"load": ["shop.yaml"]}}, 'clipwarden-sidecar.policies.load names "shop.yaml", which is no key of'),
    ({"policies": {"candidates": ["a.yml"]}}, 'policies.candidates names "a.yml", which is no key of policies.files'),
    ({"policies": {"files": {"a.yaml": "x" * 1_000_001}}}, "and a ConfigMap holds 1 MiB"),
    ({"model": {"existingClaim": "a", "volume": {"nfs": {}}, "folder": "b"}}, "model.volume are both set"),
    ({"model": {"existingClaim": "models"}}, "the embedded toy model would judge. Set model.folder"),
    ({"model": {"volume": {"emptyDir": {}}}}, "the embedded toy model would judge. Set model.folder"),
    ({"model": {"folder": "../etc"}}, "at '/model/folder': '../etc' does not match pattern"),
    ({"model": {"mountPath": "/models/"}}, "at '/model/mountPath': '/models/' does not match pattern"),
    ({"ports": {"probe": 9464}}, "ports.probe, ports.metrics and port must differ, and are [9464 9464]"),
    ({"transport": "loopback", "port": 8081}, "ports.probe, ports.metrics and port must differ"),
    (
        {"settings": {"audit_log": "/var/log/a.jsonl"}},
        'Mount a volume of the pod there by extraVolumeMounts, or write "-"',
    ),
    ({"settings": {"tokens": "/x"}}, 'settings.tokens is "/x", where nothing is mounted'),
    ({"settings": {"tls_key": "/run/tls/tls.key"}}, "settings.tls_key is"),
    ({"shared": {"mountPath": "/tmp"}}, "mounts two volumes at one path"),  # noqa: S108  refused
    ({"extraVolumeMounts": [{"name": "a", "mountPath": "/run/clipwarden/"}]}, "mounts two volumes at one path"),
    ({"extraVolumeMounts": [{"name": "a", "mounthPath": "/a"}]}, "at '/extraVolumeMounts/0': "),
    ({"socket": {"folder": "/" + "a" * 91}}, "at '/socket/folder': maxLength: got 92, want 91"),
    ({"metrics": {"enabled": False, "podMonitor": {"enabled": True}}}, "so that nothing can be scraped"),
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
    # It has another validator of schemas, with words of its own, and names the value another way.
    for values, _ in BY_SCHEMA[::4]:
        message = refusal(values, CHART, helm=HELM3)
        assert "values don't meet the specifications of the schema" in message
        assert next(iter(values)) in message
    for values, said in BY_TEMPLATE[::4]:
        assert said in refusal(values, CHART, helm=HELM3)


def _places(values: Values, *above: str) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from _places(value, *above, name)


def _with_null(place: tuple[str, ...]) -> Values:
    values: Values = {place[-1]: None}
    for name in reversed(place[:-1]):
        values = {name: values}
    return values


OF_THE_CHART = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("first", OF_THE_CHART)
def test_a_null_is_taken_or_refused_in_one_line(first: str) -> None:
    for place in _places({first: OF_THE_CHART[first]}):
        done = template(CHART, _with_null(place))
        if done.returncode == 0:
            for item in read(done.stdout):
                assert not unknown(item), (place, item)
        else:
            assert f"missing property '{place[-1]}'" in done.stderr, (place, done.stderr)


def test_values_that_kubernetes_knows_better_are_left_to_it() -> None:
    rendered = render(
        {"podSecurityContext": {"runAsUser": None, "fsGroup": None}, "resources": {"limits": {"cpu": None}}}
    )
    assert "runAsUser" not in rendered.pod["securityContext"]
    assert "cpu" not in rendered.container()["resources"]["limits"]


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
        kind = within.get("$ref", "").rpartition("/")[2]
        within = schema["definitions"][kind] if kind else within
        if "properties" in within and key != "settings" and not kind[:1].isupper():  # those are Kubernetes' own
            yield from _unlike(schema, within["properties"], values[key], f"{path}.{key}")
