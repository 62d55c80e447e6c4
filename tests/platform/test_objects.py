"""The objects around the Deployment: Services, scaling, budget, network, certificate, monitoring."""

import json

import pytest
from tests.platform.cases import CHART_CASES
from tests.platform.kit import CHART, HELM, Rendered, Values, render, run


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


def test_no_two_releases_share_a_name() -> None:
    names = [(item["kind"], item["metadata"]["name"]) for item in render(CHART_CASES["monitored"])]
    assert len(names) == len(set(names))
    assert all(name.startswith("demo-clipwarden") for _, name in names)


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


def test_a_pod_that_serves_nobody_holds_up_no_node() -> None:
    spec = render().one("PodDisruptionBudget")["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@pytest.mark.parametrize("scaling", ["hpa", "keda"])
def test_an_autoscaler_decides_alone(scaling: str) -> None:
    rendered = render(CHART_CASES[scaling])
    assert "replicas" not in rendered.one("Deployment")["spec"]
    scaler = rendered.one("HorizontalPodAutoscaler" if scaling == "hpa" else "ScaledObject")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-clipwarden"}


def test_the_hpa_goes_by_the_queue_and_by_refusals() -> None:
    metrics = render(CHART_CASES["hpa"]).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert [
        (item["type"], item["pods"]["metric"]["name"], item["pods"]["target"]["averageValue"]) for item in metrics
    ] == [
        ("Pods", "clipwarden_oldest_seconds", "500m"),
        ("Pods", "clipwarden_refusals_per_second", "1"),
    ]
    (cpu,) = render(CHART_CASES["hpa on cpu alone"]).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert cpu["containerResource"]["container"] == "clipwarden"
    assert cpu["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


def test_keda_takes_no_answer_for_a_fault_and_not_for_no_need() -> None:
    spec = render(CHART_CASES["keda"]).one("ScaledObject")["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 10)
    assert spec["fallback"] == {"failureThreshold": 3, "replicas": 4}
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert 'namespace="shop",job="demo-clipwarden-metrics"' in trigger["metadata"]["query"]
        assert trigger["authenticationRef"]["kind"] == "ClusterTriggerAuthentication"
    assert [trigger["metadata"]["threshold"] for trigger in spec["triggers"]] == ["0.5", "1"]


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
    assert all(item["metadata"]["labels"]["team"] == "trust" for item in rendered if "labels" in item["metadata"])


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
    alone = notes({"replicas": 1, "networkPolicy": {"enabled": False}})
    assert "One pod: nobody is served while its node is drained" in alone
    assert "There is no NetworkPolicy" in alone
    assert "ANYBODY who reaches the port" in alone
