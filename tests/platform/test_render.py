"""Every case of the matrix is linted and rendered, and each object is one that Kubernetes and its operators take."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.cert_manager.v1 import Certificate
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule, ServiceMonitor
from tests.platform.cases import CHART_CASES, POLICY, SIDECAR_CASES
from tests.platform.kit import (
    CHART,
    HELM,
    HELM3,
    ROOT,
    SIDECAR,
    Manifest,
    Values,
    beside_application,
    read,
    render,
    run,
    template,
)

from kit.pages import blocks

KUBERNETES = ("1.29", "1.37")
"""The first with native sidecars, which both charts ask for, and the newest whose schemas we have."""

CUSTOM: dict[str, Any] = {
    "cert-manager.io/v1/Certificate": Certificate,
    "keda.sh/v1alpha1/ScaledObject": ScaledObject,
    "monitoring.coreos.com/v1/PodMonitor": PodMonitor,
    "monitoring.coreos.com/v1/PrometheusRule": PrometheusRule,
    "monitoring.coreos.com/v1/ServiceMonitor": ServiceMonitor,
}
"""Classes made of the operators' own definitions: cert-manager 1.17, KEDA 2.16, Prometheus operator 0.80."""


@pytest.fixture(
    scope="module",
    params=[("chart", name) for name in CHART_CASES] + [("app", name) for name in SIDECAR_CASES],
    ids=" ".join,
)
def case(request: pytest.FixtureRequest, example: Path) -> tuple[Path, Values]:
    chart, name = request.param
    return (CHART, CHART_CASES[name]) if chart == "chart" else (example, beside_application(SIDECAR_CASES[name]))


def test_it_is_valid_to_the_letter(case: tuple[Path, Values]) -> None:
    chart, values = case
    for item in render(values, chart):
        assert not unknown(item), item


def unknown(item: Manifest) -> object:
    """What of an object its definition does not know; raises where a value is wrong."""
    custom = CUSTOM.get(f"{item['apiVersion']}/{item['kind']}")
    if item["kind"] == "ScaledObject":  # what these definitions are too old for: it is of KEDA 2.17
        fallback = {name: value for name, value in item["spec"]["fallback"].items() if name != "behavior"}
        item = {**item, "spec": {**item["spec"], "fallback": fallback}}
    if custom is None:
        return [
            version for version in KUBERNETES if kubernetes_validate.validate(item, version, strict=True) != version
        ]
    # These classes pass over what they do not know, which is then missing from what they give back.
    known = custom.model_validate(item).model_dump(by_alias=True, exclude_unset=True, mode="json")
    return None if known == item else (known, item)


def test_helm_3_renders_the_same(case: tuple[Path, Values]) -> None:
    chart, values = case
    assert render(values, chart, helm=HELM3).objects == render(values, chart).objects


def test_helm_lints_it(case: tuple[Path, Values], tmp_path: Path) -> None:
    chart, values = case
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))
    linted = run([HELM, "lint", "--strict", "--quiet", str(chart), "--values", str(file)])
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_sidecar_alone_lints() -> None:
    assert run([HELM, "lint", str(SIDECAR)]).returncode == 0


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    deployment = render().one("Deployment")
    deployment["spec"]["replica"] = 3
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        unknown(deployment)


def test_a_field_that_an_operator_does_not_know_is_found() -> None:
    scaled = render({"autoscaling": {"type": "keda"}}).one("ScaledObject")
    scaled["spec"]["maxReplica"] = 3
    assert unknown(scaled)


def test_kubernetes_1_28_is_refused() -> None:
    done = template(CHART, {}, "--kube-version", "1.28.0")
    assert done.returncode != 0
    assert "1.29" in done.stderr


def test_the_values_of_the_documents_are_taken() -> None:
    told = [block.text for block in blocks("docs/kubernetes.md", "yaml") if block.text.startswith("# values")]
    first, of_a_registry, of_a_new_model = (yaml.safe_load(text) for text in told)
    of_a_registry["image"]["digest"] = "sha256:" + "0" * 64
    container = render(of_a_registry).container()
    assert container["image"] == "registry.example/trust/clipwarden@sha256:" + "0" * 64
    assert "ServiceMonitor" in render({**first, "policies": {"files": {"shop.yaml": POLICY}}}).kinds
    changed = render(of_a_new_model)
    assert changed.one("ConfigMap", "-policies")["data"].keys() == {"shop.yaml", "shop-l14.yaml"}


def test_the_pod_that_brings_models_is_valid_and_brings_them_where_the_values_look() -> None:
    (told,) = [block.text for block in blocks("docs/kubernetes.md", "yaml") if block.text.startswith("# loader.yaml")]
    objects = read(told)
    assert objects.kinds == ["PersistentVolumeClaim", "Pod"]
    assert not [item for item in objects if unknown(item)]
    values = next(block.text for block in blocks("docs/kubernetes.md", "yaml") if block.text.startswith("# values"))
    assert yaml.safe_load(values)["model"]["existingClaim"] == objects.one("PersistentVolumeClaim")["metadata"]["name"]
    pod, ours = objects.one("Pod")["spec"], render().pod["securityContext"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (
        ours["runAsUser"],
        ours["fsGroup"],
    )
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "models"


def test_the_charts_are_packaged_as_the_documents_say(tmp_path: Path) -> None:
    (told,) = [block.text for block in blocks("docs/kubernetes.md", "sh") if "helm package" in block.text]
    (package,) = [line for line in told.splitlines() if line.startswith("helm package")]
    (tmp_path / "helm").symlink_to(ROOT / "helm")
    done = run(["sh", "-c", package.replace("helm package", f"{HELM} package", 1)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pushed = {line.split()[2] for line in told.splitlines() if line.startswith("helm push")}
    assert pushed == {str(file.relative_to(tmp_path)) for file in (tmp_path / "dist").iterdir()}


@pytest.mark.parametrize("helm", [HELM, HELM3], ids=["helm4", "helm3"])
def test_the_commands_of_the_documents_put_a_candidate_beside_the_live_policy(tmp_path: Path, helm: str) -> None:
    (command,) = [block.text for block in blocks("docs/kubernetes.md", "sh") if block.text.startswith("helm upgrade")]
    values = next(block.text for block in blocks("docs/kubernetes.md", "yaml") if block.text.startswith("# values"))
    texts = {"values.yaml": values, "shop.yaml": POLICY, "shop-1.4.yaml": POLICY + "# 1.4"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "helm").symlink_to(ROOT / "helm")
    done = run(["sh", "-c", command.replace("helm upgrade", f"{helm} template", 1)], cwd=tmp_path)
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    data = {key: text for item in objects if item["kind"] == "ConfigMap" for key, text in item["data"].items()}
    assert (data["shop.yaml"], data["shop-next.yaml"]) == (texts["shop.yaml"], texts["shop-1.4.yaml"])
    settings = yaml.safe_load(data["settings.yaml"])
    assert settings["policies"] == ["/etc/clipwarden/policies/shop.yaml"]
    assert settings["candidates"] == ["/etc/clipwarden/policies/shop-next.yaml"]


def test_every_kind_of_the_charts_is_in_the_matrix() -> None:
    kinds = {item["kind"] for values in CHART_CASES.values() for item in render(values)}
    assert kinds == {
        *("Certificate", "ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget"),
        *("PrometheusRule", "ScaledObject", "Secret", "Service", "ServiceAccount", "ServiceMonitor"),
    }
