"""What the rendered Deployment promises: who it runs as, what it mounts, how it is probed, how it ends."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.platform.cases import CHART_CASES, POLICY
from tests.platform.kit import Manifest, Rendered, Values, render

CASES = [pytest.param(values, id=name) for name, values in CHART_CASES.items()]
CONFIG = ["--config", "/etc/clipwarden/settings/settings.yaml"]


def ours(rendered: Rendered) -> Iterator[Manifest]:
    """The containers of the chart's own."""
    for container in [*rendered.pod.get("initContainers", []), *rendered.pod["containers"]]:
        if container["name"] in ("clipwarden", "fill-vector-cache"):
            yield container


def mounts(container: Manifest) -> dict[str, Manifest]:
    return {mount["name"]: mount for mount in container["volumeMounts"]}


@pytest.mark.parametrize("values", CASES)
def test_pods_keep_to_the_restricted_standard(values: Values) -> None:
    rendered = render(values)
    pod = rendered.pod
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in ours(rendered):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        }
    allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "nfs"}  # nfs: a case's own choice
    assert all(set(volume) - {"name"} <= allowed for volume in pod["volumes"])


@pytest.mark.parametrize("values", CASES)
def test_every_mount_has_its_volume_and_only_what_is_written_can_be_written(values: Values) -> None:
    rendered = render(values)
    volumes = [volume["name"] for volume in rendered.pod["volumes"]]
    assert len(volumes) == len(set(volumes))
    for container in ours(rendered):
        places = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert len(places) == len(set(places))
        writable = {name for name, mount in mounts(container).items() if not mount.get("readOnly")}
        assert set(mounts(container)) <= set(volumes)
        assert writable <= {"vector-cache", "tmp", "audit", "more"}


@pytest.mark.parametrize("values", CASES)
def test_emptied_folders_have_a_bound(values: Values) -> None:
    own = [volume for volume in render(values).pod["volumes"] if volume["name"] != "more"]
    assert all("sizeLimit" in volume["emptyDir"] for volume in own if "emptyDir" in volume)


@pytest.mark.parametrize("values", CASES)
def test_the_kubelet_probes_the_plaintext_port(values: Values) -> None:
    rendered = render(values)
    server = rendered.container()
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    assert (
        server["startupProbe"]["httpGet"] == server["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probe"}
    )
    assert server["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "probe"}
    startup = server["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300
    assert re.search(rf'^probe_listen: ".*:{ports["probe"]}"$', rendered.settings_text, re.MULTILINE)
    services = [item for item in rendered if item["kind"] == "Service"]
    assert not [port for item in services for port in item["spec"]["ports"] if port["targetPort"] == "probe"]


def test_the_server_has_as_long_as_its_drain_takes() -> None:
    assert render().pod["terminationGracePeriodSeconds"] == 35
    slow = render({"drain": {"delaySeconds": 10.5, "seconds": 60, "marginSeconds": 3}})
    assert slow.pod["terminationGracePeriodSeconds"] == 74
    assert render({"terminationGracePeriodSeconds": 90}).pod["terminationGracePeriodSeconds"] == 90


@pytest.mark.parametrize("values", CASES)
def test_the_grace_period_holds_the_drain_that_the_settings_say(values: Values, tmp_path: Path) -> None:
    rendered = render(values)
    settings = rendered.settings(tmp_path)
    assert rendered.pod["terminationGracePeriodSeconds"] > settings.drain_delay_seconds + settings.drain_seconds + 2


def test_policies_are_a_folder_so_that_an_edit_arrives() -> None:
    rendered = render({"policies": {"files": {"shop.yaml": POLICY}}})
    for container in ours(rendered):
        mount = mounts(container)["policies"]
        assert mount == {"name": "policies", "mountPath": "/etc/clipwarden/policies", "readOnly": True}
    (volume,) = [item for item in rendered.pod["volumes"] if item["name"] == "policies"]
    assert volume["configMap"] == {"name": "demo-clipwarden-policies"}  # no items: the whole of it
    assert rendered.one("ConfigMap", "-policies")["data"] == {"shop.yaml": POLICY}
    assert 'policies: ["/etc/clipwarden/policies/shop.yaml"]' in rendered.settings_text


@pytest.mark.parametrize("secret", ["tls", "tokens", "client-ca"])
def test_secrets_are_folders_that_the_group_alone_may_read(secret: str) -> None:
    rendered = render({**CHART_CASES["tls from a secret"], "tokens": {"existingSecret": "tokens"}})
    assert "subPath" not in mounts(rendered.container())[secret]
    (volume,) = [item for item in rendered.pod["volumes"] if item["name"] == secret]
    assert volume["secret"]["defaultMode"] == 0o440


def template_of(values: Values) -> object:
    return render(values).one("Deployment")["spec"]["template"]


@pytest.mark.parametrize(
    ("before", "after", "rolls"),
    [
        ({"policies": {"files": {"a.yaml": "x"}}}, {"policies": {"files": {"a.yaml": "y"}}}, False),
        ({"policies": {"files": {"a.yaml": "x"}}}, {"policies": {"files": {"a.yaml": "x", "b.yaml": "y"}}}, True),
        ({}, {"settings": {"queue_items": 64}}, True),
        ({}, {"drain": {"seconds": 30}}, True),
        ({}, {"metrics": {"prometheusRule": {"enabled": True}}}, False),
        ({}, {"replicas": 5}, False),
        ({}, {"image": {"tag": "0.2.0"}}, True),
    ],
)
def test_settings_roll_pods_and_policies_do_not(before: Values, after: Values, *, rolls: bool) -> None:
    assert (template_of(before) != template_of(after)) == rolls


def test_an_init_container_loads_what_the_server_will() -> None:
    rendered = render({"policies": {"files": {"shop.yaml": POLICY}}})
    prefill, server = rendered.container("fill-vector-cache"), rendered.container()
    assert prefill["command"] == ["clipwarden", "serve", "--check", *CONFIG]
    assert server["command"] == ["clipwarden", "serve", *CONFIG]
    for key in ("image", "env", "volumeMounts", "resources", "securityContext"):
        assert prefill[key] == server[key]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({}, "clipwarden:0.1.0"),
        ({"tag": "0.3.1"}, "clipwarden:0.3.1"),
        ({"registry": "r.example", "repository": "t/clipwarden"}, "r.example/t/clipwarden:0.1.0"),
        ({"tag": "0.3.1", "digest": "sha256:" + "a" * 64}, "clipwarden@sha256:" + "a" * 64),
    ],
)
def test_images_are_named_for_good(image: Values, name: str) -> None:
    assert render({"image": image}).container()["image"] == name


def test_a_gpu_takes_its_image_its_resource_and_its_provider(tmp_path: Path) -> None:
    rendered = render(CHART_CASES["gpu"])
    server = rendered.container()
    assert server["image"] == "clipwarden:0.1.0-gpu"
    assert server["resources"]["limits"] == {"nvidia.com/gpu": 1, "cpu": "2", "memory": "3Gi"}
    assert rendered.settings(tmp_path).provider == "CUDAExecutionProvider"
    assert rendered.pod["runtimeClassName"] == "nvidia"
    assert rendered.pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    # A spare GPU is rare: a rollout that waited for one would never end.
    assert rendered.one("Deployment")["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_pods_are_guaranteed_whole_cpus() -> None:
    for container in ours(render()):
        assert container["resources"]["requests"] == container["resources"]["limits"] == {"cpu": "2", "memory": "3Gi"}


def test_pods_are_spread_over_nodes_and_zones() -> None:
    rendered = render()
    spread = rendered.pod["topologySpreadConstraints"]
    assert [item["topologyKey"] for item in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    selector = rendered.one("Deployment")["spec"]["selector"]
    assert all(item["labelSelector"] == selector for item in spread)
    (rack,) = render(CHART_CASES["scheduling"]).pod["topologySpreadConstraints"]
    assert (rack["topologyKey"], rack["labelSelector"]) == ("rack", selector)


def test_a_rollout_adds_a_pod_before_it_takes_one_away() -> None:
    spec = render().one("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_each_pod_writes_its_audit_log_into_a_folder_of_its_own() -> None:
    server = render(CHART_CASES["audit log to a claim"]).container()
    assert mounts(server)["audit"]["subPathExpr"] == "$(POD_NAME)"
    assert server["env"][0] == {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert "audit" not in mounts(render(CHART_CASES["audit log to stdout"]).container())
