"""The objects around the Deployment: Services, scaling, budget, network, certificate, monitoring."""

import json
import re

import pytest
from tests.platform.cases import CHART_CASES
from tests.platform.kit import CHART, HELM, Rendered, Values, read, render, run, template
from tests.platform.test_alerts import EVERYTHING
from tests.platform.test_render import unknown


def selected(rendered: Rendered, selector: dict[str, str]) -> bool:
    labels = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    return bool(selector.items() <= labels.items())


@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in CHART_CASES.items()])
def test_whatever_selects_pods_selects_these(values: Values) -> None:
    rendered = render(values)
    for item in rendered:
        spec = item.get("spec", {})
        chosen = {
            "Service": lambda spec=spec: spec["selector"],
            "PodDisruptionBudget": lambda spec=spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec=spec: spec["podSelector"]["matchLabels"],
            "Deployment": lambda spec=spec: spec["selector"]["matchLabels"],
        }.get(item["kind"])
        assert chosen is None or selected(rendered, chosen()), item
        assert item["kind"] == "ConfigMap" or item["metadata"].get("namespace", "shop") == "shop"


@pytest.mark.parametrize(
    "releases", [("demo", "other"), ("clipwarden", "other-clipwarden"), ("a-clipwarden-b", "a-clipwarden")], ids=str
)
def test_no_two_releases_share_a_name(releases: tuple[str, str]) -> None:
    of_each = [
        [(item["kind"], item["metadata"]["name"]) for item in read(template(CHART, EVERYTHING, release=release).stdout)]
        for release in releases
    ]
    assert all(len(names) == len(set(names)) > 8 for names in of_each)
    assert not set(of_each[0]) & set(of_each[1])


def test_long_names_fit() -> None:
    rendered = render({"fullnameOverride": "x" * 63, "metrics": {"dashboard": {"enabled": True}}})
    assert max(len(item["metadata"]["name"]) for item in rendered) <= 63


def test_the_headless_service_has_the_pods_own_port() -> None:
    rendered = render({"service": {"port": 443}})
    assert rendered.one("Service", "clipwarden")["spec"]["ports"][0]["port"] == 443
    headless = rendered.one("Service", "-headless")["spec"]
    assert (headless["clusterIP"], headless["ports"][0]["port"]) == ("None", 50051)
    assert "publishNotReadyAddresses" not in headless  # clients see the pods that serve


def test_the_port_says_what_it_speaks() -> None:
    plain, encrypted = render(), render(CHART_CASES["tls from a secret"])
    assert plain.one("Service", "clipwarden")["spec"]["ports"][0]["appProtocol"] == "kubernetes.io/h2c"
    assert "appProtocol" not in encrypted.one("Service", "clipwarden")["spec"]["ports"][0]


def test_nothing_leaves_the_pod_and_only_neighbours_call() -> None:
    spec = render().one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["egress"] == []
    calls, scrapes = spec["ingress"]
    assert (calls["from"], calls["ports"][0]["port"]) == ([{"podSelector": {}}], "grpc")
    assert (scrapes["from"], scrapes["ports"][0]["port"]) == ([{"namespaceSelector": {}}], "metrics")


def test_whom_the_network_policy_names_may_call() -> None:
    values = CHART_CASES["network"]["networkPolicy"]
    spec = render(CHART_CASES["network"]).one("NetworkPolicy")["spec"]
    assert spec["ingress"][0]["from"] == values["clients"]
    assert spec["ingress"][1]["from"] == values["monitoring"]
    assert spec["egress"] == values["egress"]


def test_the_account_has_no_token() -> None:
    rendered = render()
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert rendered.pod["serviceAccountName"] == rendered.one("ServiceAccount")["metadata"]["name"]
    assert render(CHART_CASES["everything off"]).pod["serviceAccountName"] == "default"


@pytest.mark.parametrize(
    ("release", "namespace", "values"),
    [
        pytest.param("a.b", "shop", {}, id="a dot"),
        pytest.param("on", "123", {"nameOverride": "123"}, id="what YAML reads otherwise"),
        pytest.param("1e3", "1e3", {"fullnameOverride": "on", "nameOverride": "1e3"}, id="a number with an exponent"),
        pytest.param(
            "demo",
            "0x10",
            {
                "model": {"existingClaim": "true", "folder": "vit"},
                "vectorCache": {"existingClaim": "1e3"},
                "tokens": {"existingSecret": "123", "allowPlaintext": True},
                "tls": {"existingSecret": "null"},
                "auditLog": {"enabled": True, "destination": "file", "existingClaim": "0"},
                "serviceAccount": {"name": "123"},
                "priorityClassName": "on",
                "commonLabels": {"cost": "12e3", "on": "yes"},
                "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
                "autoscaling": {"type": "keda"},
            },
            id="in every place",
        ),
    ],
)
def test_names_that_yaml_reads_otherwise_stay_names(release: str, namespace: str, values: Values) -> None:
    # As Kubernetes' reader and ours: that of Go takes 1e3 for a number, Python's does not.
    done = template(CHART, values, release=release, namespace=namespace)
    assert done.returncode == 0, done.stderr
    for item in read(done.stdout):
        assert not unknown(item), item
        assert item["metadata"]["namespace"] == namespace
        assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", item["metadata"]["name"]), item
        assert item["kind"] != "Service" or item["metadata"]["name"][0].isalpha()
    unquoted = re.findall(
        r"(?:name|instance|namespace|claimName|secretName|cost): (?:1e3|12e3|0x10|123|0)$", done.stdout, re.MULTILINE
    )
    assert unquoted == []


def test_labels_of_all_are_overruled_by_labels_of_one() -> None:
    rendered = render(CHART_CASES["names and extras"])
    assert rendered.one("Deployment")["metadata"]["labels"]["team"] == "trust"
    template_of_pods = rendered.one("Deployment")["spec"]["template"]["metadata"]
    assert template_of_pods["labels"]["team"] == "safety"
    assert template_of_pods["annotations"]["kubectl.kubernetes.io/default-container"] == "collector"
    assert {rendered.one(kind)["metadata"]["labels"]["team"] for kind in ("ServiceMonitor", "PrometheusRule")} == {
        "ops"
    }
    rules = rendered.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    assert {rule["labels"]["severity"] for rule in rules} == {"page"}


def test_a_pod_that_serves_nobody_holds_up_no_node() -> None:
    spec = render().one("PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@pytest.mark.parametrize("scaling", ["hpa", "keda"])
def test_an_autoscaler_decides_alone(scaling: str) -> None:
    rendered = render(CHART_CASES[scaling])
    assert "replicas" not in rendered.one("Deployment")["spec"]
    scaler = rendered.one("HorizontalPodAutoscaler" if scaling == "hpa" else "ScaledObject")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-clipwarden"}


def test_the_hpa_goes_by_the_share_of_time_by_the_queue_and_by_refusals() -> None:
    metrics = render(CHART_CASES["hpa"]).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [
        (item["type"], item["pods"]["metric"]["name"], item["pods"]["target"]["averageValue"]) for item in metrics
    ] == [
        ("Pods", "clipwarden_busy_share", "700m"),
        ("Pods", "clipwarden_oldest_seconds", "500m"),
        ("Pods", "clipwarden_refusals_per_second", "1"),
    ]
    (cpu,) = render(CHART_CASES["hpa on cpu alone"]).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert cpu["containerResource"]["container"] == "clipwarden"
    assert cpu["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_keda_takes_no_answer_for_a_fault_and_not_for_no_need() -> None:
    spec = render(CHART_CASES["keda"]).one("ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 10)
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 4, "behavior": "currentReplicasIfHigher"}
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert 'namespace="shop",job="demo-clipwarden-metrics"' in trigger["metadata"]["query"]
        assert trigger["authenticationRef"]["kind"] == "ClusterTriggerAuthentication"
    assert [trigger["metadata"]["threshold"] for trigger in spec["triggers"]] == ["0.7", "0.5", "1"]
    assert all("[2m]" in trigger["metadata"]["query"] for trigger in spec["triggers"] if "rate(" in str(trigger))
    older = {"autoscaling": {"type": "keda", "keda": {"fallback": {"behavior": ""}, "window": "5m"}}}
    plain = render(older).one("ScaledObject")["spec"]
    assert plain["fallback"] == {"failureThreshold": 3, "replicas": 4}
    assert "[5m]" in plain["triggers"][0]["metadata"]["query"]


def test_alerts_and_scaling_go_by_the_job_that_is_named() -> None:
    values = {"autoscaling": {"type": "keda"}, "metrics": {"job": "own", "prometheusRule": {"enabled": True}}}
    rendered = render(values)
    rules = rendered.one("PrometheusRule")["spec"]["groups"][0]["rules"]
    queries = [trigger["metadata"]["query"] for trigger in rendered.one("ScaledObject")["spec"]["triggers"]]
    for expr in queries + [rule["expr"] for rule in rules]:
        assert set(re.findall('job="([^"]*)"', expr)) == {"own"}


def test_a_load_balancer_is_what_the_values_say() -> None:
    spec = render(CHART_CASES["network"]).one("Service", "clipwarden")["spec"]
    assert (spec["externalTrafficPolicy"], spec["loadBalancerClass"]) == ("Local", "example.com/internal")
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert spec["ports"][0]["nodePort"] == 30051
    assert "NOBODY FROM OUTSIDE may call" in notes({"service": {"type": "NodePort"}})
    assert "NOBODY FROM OUTSIDE" not in notes(CHART_CASES["network"])


def test_cert_manager_is_asked_for_the_names_that_callers_use() -> None:
    rendered = render(CHART_CASES["tls from cert-manager"])
    spec = rendered.one("Certificate")["spec"]
    assert "demo-clipwarden.shop.svc" in spec["dnsNames"]
    assert "demo-clipwarden-headless.shop.svc.cluster.local" in spec["dnsNames"]
    assert spec["dnsNames"][-1] == "judge.example"
    assert spec["issuerRef"] == {"name": "internal", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    (volume,) = [item for item in rendered.pod["volumes"] if item["name"] == "tls"]
    assert volume["secret"]["secretName"] == spec["secretName"]
    assert 'tls_client_ca: "/etc/clipwarden/tls/ca.crt"' in rendered.settings_text


def test_each_pod_is_scraped_once_and_also_while_it_is_not_ready() -> None:
    rendered = render(CHART_CASES["monitored"])
    monitor = rendered.one("ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    (service,) = [
        item for item in rendered if item["kind"] == "Service" and wanted.items() <= item["metadata"]["labels"].items()
    ]
    assert service["metadata"]["name"] == "demo-clipwarden-metrics"
    assert service["spec"]["publishNotReadyAddresses"] is True
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (service["spec"]["ports"][0]["name"], "/metrics")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_extra_objects_may_hold_templates() -> None:
    rendered = render(CHART_CASES["names and extras"])
    assert rendered.one("ConfigMap", "-more")["metadata"]["name"] == "demo-more"
    assert rendered.one("Secret", "-text")["metadata"]["name"] == "demo-text"


def test_extras_of_the_pod_are_there() -> None:
    rendered = render(CHART_CASES["names and extras"])
    server = rendered.container()
    assert server["image"].startswith("registry.example:5000/clipwarden@sha256:")
    assert {"name": "TZ", "value": "UTC"} in server["env"]
    assert {"name": "more", "mountPath": "/more"} in server["volumeMounts"]
    assert rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert all(item["metadata"]["labels"]["team"] for item in rendered if "labels" in item["metadata"])


def notes(values: Values) -> str:
    """What Helm says after an installation; Helm 3 would ask a cluster first."""
    command = [HELM, "install", "demo", str(CHART), "--namespace", "shop", "--dry-run=client", "--values", "-"]
    done = run(command, text=json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]


def test_the_notes_say_how_to_call_and_what_is_open() -> None:
    said = notes({})
    assert "dns:///demo-clipwarden-headless.shop.svc:50051" in said
    for warning in ("NOT ENCRYPTED", "ANYBODY whom the NetworkPolicy lets in", 'The embedded model "mini" is in use'):
        assert warning in said


def test_the_notes_do_not_warn_of_what_is_closed() -> None:
    said = notes({**CHART_CASES["tls from cert-manager"], "model": CHART_CASES["a model from a claim"]["model"]})
    assert "demo-clipwarden.shop.svc:50051" in said
    assert not [word for word in ("NOT ENCRYPTED", "ANYBODY", "mini", "One pod") if word in said]
    assert "clipwarden health localhost:50051 --root-certificates ca.crt --server-name demo-clipwarden.shop.svc" in said
    one = notes({"autoscaling": {"type": "hpa", "minReplicas": 1}, "service": {"headless": {"enabled": False}}})
    assert "Set autoscaling.minReplicas to 2 or more" in one
    assert "-headless" not in one
    assert "1500m CPUs are no whole number" in notes({"resources": {"limits": {"cpu": "1500m"}}})
    assert "whole number" not in notes({"resources": {"limits": {"cpu": "2000m"}}})
    on_one_gpu = notes({"replicas": 1, "gpu": {"enabled": True}})
    assert "Nor during a rollout" in on_one_gpu
    alone = notes({"replicas": 1, "networkPolicy": {"enabled": False}})
    assert "One pod: nobody is served while its node is drained" in alone
    assert "There is no NetworkPolicy" in alone
    assert "ANYBODY who reaches the port" in alone
