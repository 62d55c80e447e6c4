"""The sidecar in an application's pod: what is rendered, and the pod acted out with its real commands."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml
from tests.platform.cases import POLICY, SIDECAR_CASES
from tests.platform.kit import (
    HELM,
    HELM3,
    RELEASE,
    ROOT,
    SIDECAR,
    Manifest,
    Rendered,
    Values,
    beside_application,
    read,
    refusal,
    render,
    run,
    template,
)
from tests.platform.livepod import Pod, Started
from tests.platform.plainyaml import FILE, plain_yaml
from tests.platform.test_render import unknown

IMAGES = ROOT / "service" / "clipwarden" / "demo" / "images"
CASES = [pytest.param(values, id=name) for name, values in SIDECAR_CASES.items()]


def rendered_app(example: Path, values: Values | None = None) -> Rendered:
    return render(beside_application(values or {}), example)


@pytest.mark.parametrize("values", CASES)
def test_it_starts_before_the_application_and_stops_after_it(values: Values, example: Path) -> None:
    pod = rendered_app(example, values).pod
    *before, sidecar = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert all("restartPolicy" not in container for container in before)
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"  # until then nothing after it is started
    assert [container["name"] for container in pod["containers"]] == ["uploads"]


@pytest.mark.parametrize("values", CASES)
def test_it_keeps_to_the_restricted_standard(values: Values, example: Path) -> None:
    pod = rendered_app(example, values).pod
    for container in pod["initContainers"]:
        security = container["securityContext"]
        assert security["runAsUser"] == security["runAsGroup"] == 65532
        assert security["runAsNonRoot"] is security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        writable = {mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
        more = {mount["name"] for mount in values.get("extraVolumeMounts", [])}
        assert writable - more <= {"clipwarden-socket", "clipwarden-vectors", "clipwarden-tmp"}
        assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_another_user_opens_the_socket_by_the_group(example: Path, tmp_path: Path) -> None:
    rendered = rendered_app(example)
    settings = rendered.settings(tmp_path)
    application = rendered.container("uploads")
    assert settings.listen is None
    assert (settings.unix_socket_mode, settings.unix_socket_group) == ("660", "65532")
    assert rendered.pod["securityContext"]["fsGroup"] == 65532
    assert application["securityContext"]["runAsUser"] == 10001
    assert {"name": "CLIPWARDEN_TARGET", "value": f"unix:{settings.unix_socket}"} in application["env"]
    (mount,) = [item for item in application["volumeMounts"] if item["name"] == "clipwarden-socket"]
    assert mount == {"name": "clipwarden-socket", "mountPath": "/run/clipwarden", "readOnly": True}


def test_on_loopback_there_is_no_socket(example: Path, tmp_path: Path) -> None:
    rendered = rendered_app(example, SIDECAR_CASES["loopback"])
    settings = rendered.settings(tmp_path)
    assert (settings.listen, settings.unix_socket) == ("127.0.0.1:50052", None)
    assert settings.path_callers == "all"
    assert {"name": "CLIPWARDEN_TARGET", "value": "127.0.0.1:50052"} in rendered.container("uploads")["env"]
    assert "clipwarden-socket" not in [volume["name"] for volume in rendered.pod["volumes"]]


def test_images_are_read_from_the_shared_volume_alone(example: Path, tmp_path: Path) -> None:
    rendered = rendered_app(example)
    assert rendered.settings(tmp_path).path_root == "/uploads"
    (mount,) = [item for item in rendered.container()["volumeMounts"] if item["name"] == "uploads"]
    assert mount == {"name": "uploads", "mountPath": "/uploads", "readOnly": True}
    without = rendered_app(example, {"shared": {"volume": ""}})
    assert without.settings(tmp_path).path_root is None


def test_the_pod_has_time_for_the_application_and_then_for_the_sidecar(example: Path) -> None:
    assert rendered_app(example).pod["terminationGracePeriodSeconds"] == 45
    longer = rendered_app(example, {"drain": {"applicationSeconds": 60, "seconds": 7.5}})
    assert longer.pod["terminationGracePeriodSeconds"] == 78


@pytest.mark.parametrize("values", CASES)
def test_the_server_reads_what_is_rendered(values: Values, example: Path, tmp_path: Path) -> None:
    settings = rendered_app(example, values).settings(tmp_path)
    assert settings.drain_delay_seconds == 0
    assert settings.max_message_bytes > settings.max_image_bytes


def test_settings_roll_the_pod_and_policies_do_not(example: Path) -> None:
    def template_of(values: Values) -> object:
        return rendered_app(example, values).one("Deployment")["spec"]["template"]

    policy = {"policies": {"files": {"a.yaml": "x"}, "load": ["a.yaml"]}}
    edited = {"policies": {"files": {"a.yaml": "y"}, "load": ["a.yaml"]}}
    assert template_of(policy) == template_of(edited)
    assert template_of({}) != template_of({"drain": {"seconds": 6}})


def test_the_plain_manifests_are_those_of_the_chart(example: Path) -> None:
    assert FILE.read_text(encoding="utf-8") == plain_yaml(example), "run: python -m tests.platform.plainyaml"
    assert read(FILE.read_text(encoding="utf-8")).one("Deployment")


def test_two_applications_of_a_release_have_settings_of_their_own(example: Path, tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: umbrella\nversion: 0.1.0\n")
    for name in ("one", "two"):
        chart = tmp_path / "charts" / name
        shutil.copytree(example, chart)
        told = (chart / "Chart.yaml").read_text()
        (chart / "Chart.yaml").write_text(told.replace("name: uploads", f"name: {name}", 1))
        for file in (chart / "templates").glob("*.yaml"):  # the example's own objects go by the release alone
            own = file.read_text().replace("{{ .Release.Name | quote }}", "{{ .Release.Name }}")
            file.write_text(own.replace("{{ .Release.Name }}", "{{ .Release.Name }}-{{ .Chart.Name }}"))
    policies = {"files": {"shop.yaml": POLICY}, "load": ["shop.yaml"]}
    values = {name: beside_application({"policies": policies, "drain": {"seconds": 3}}) for name in ("one", "two")}
    objects = render(values, tmp_path).objects
    names = [(item["kind"], item["metadata"]["name"]) for item in objects]
    assert len(names) == len(set(names))
    mounted = {volume["configMap"]["name"] for item in objects for volume in _volumes(item) if "configMap" in volume}
    assert mounted == {name for kind, name in names if kind == "ConfigMap"}
    ours = [item["metadata"] for item in objects if item["metadata"]["name"].endswith(("-settings", "-policies"))]
    assert [each["labels"]["app.kubernetes.io/name"] for each in ours] == ["one", "one", "two", "two"]
    assert {each["labels"]["app.kubernetes.io/instance"] for each in ours} == {RELEASE}


def _volumes(item: Manifest) -> list[Manifest]:
    volumes: list[Manifest] = item["spec"]["template"]["spec"]["volumes"] if item["kind"] == "Deployment" else []
    return volumes


def test_a_servers_release_of_a_like_name_shares_nothing_with_a_sidecar(example: Path) -> None:
    names = {(item["kind"], item["metadata"]["name"]) for item in rendered_app(example, SIDECAR_CASES["monitored"])}
    for release in (f"{RELEASE}-clipwarden", f"{RELEASE}-uploads-clipwarden", "clipwarden"):
        done = run([HELM, "template", release, str(SIDECAR.parent / "clipwarden")])
        assert not names & {(item["kind"], item["metadata"]["name"]) for item in read(done.stdout)}


@pytest.mark.parametrize("release", [RELEASE, "x" * 53])
def test_a_pod_monitor_finds_the_sidecars_of_this_application(example: Path, release: str) -> None:
    values = json.dumps(beside_application(SIDECAR_CASES["monitored"]))
    rendered = read(run([HELM, "template", release, str(example), "--values", "-"], text=values).stdout)
    monitor = rendered.one("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    labels = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert len(labels[monitor["spec"]["jobLabel"]]) <= 63
    assert labels[monitor["spec"]["jobLabel"]].startswith(release)
    assert endpoint["port"] in {port["name"] for port in rendered.container()["ports"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize("word", ["123", "on", "1e3"])
def test_names_that_yaml_takes_for_something_else_stay_names(example: Path, word: str) -> None:
    named = {"model": {"existingClaim": word, "folder": "vit"}, "shared": {"volume": word}}
    named |= {"policies": {"existingConfigMap": word, "load": ["shop.yaml"]}}
    done = run([HELM, "template", word, str(example), "--values", "-"], text=json.dumps(beside_application(named)))
    objects = read(done.stdout)
    assert not [item for item in objects if unknown(item)]
    assert objects.one("Deployment")["metadata"]["labels"]["app.kubernetes.io/instance"] == word


def test_the_examples_metrics_are_for_the_namespace_that_monitors(example: Path) -> None:
    rendered = rendered_app(example, {"ports": {"metrics": 9999}})
    calls, scrapes = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in calls["ports"]] == ["http"]
    assert scrapes["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    (port,) = [port for port in rendered.container()["ports"] if port["name"] == "cw-metrics"]
    assert [each["port"] for each in scrapes["ports"]] == [port["containerPort"]] == [9999]


def test_an_audit_log_lies_on_a_volume_of_the_applications(example: Path, tmp_path: Path) -> None:
    rendered = rendered_app(example, SIDECAR_CASES["an audit log in a file"])
    settings = rendered.settings(tmp_path)
    (mount,) = [item for item in rendered.container()["volumeMounts"] if item["name"] == "uploads"]
    assert str(settings.audit_log).startswith(mount["mountPath"])
    assert not mount.get("readOnly")


@pytest.mark.parametrize("helm", [HELM, HELM3], ids=["helm4", "helm3"])
def test_an_alias_of_the_dependency_is_refused_in_a_sentence(example: Path, tmp_path: Path, helm: str) -> None:
    chart = tmp_path / "aliased"
    shutil.copytree(example, chart)
    told = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(told.replace("  - name: clip", "  - alias: judge\n    name: clip"))
    said = refusal({}, chart, helm=helm)
    assert 'No dependency of this chart is called "clipwarden-sidecar". List it by that name, without an alias' in said
    assert "error calling" not in said


def test_a_value_that_is_made_null_is_missed_by_name(example: Path) -> None:
    schema = json.loads((SIDECAR / "values.schema.json").read_text())
    values = yaml.safe_load((SIDECAR / "values.yaml").read_text())
    for path in _keys_with_defaults(schema, values):
        here = schema
        for name in path[:-1]:
            here = here["properties"][name]
        assert path[-1] in here["required"], path
    for nulled in ({"image": None}, {"model": {"folder": None}}):
        assert "missing property '" in refusal(beside_application(nulled), example)
    assert template(example, {"clipwarden-sidecar": None}).returncode == 0  # all of it is as this chart has it


def _keys_with_defaults(schema: Manifest, values: Values, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield (*above, name)
        within = schema["properties"][name]
        if "properties" in within and isinstance(value, dict):
            yield from _keys_with_defaults(within, value, (*above, name))


@pytest.fixture(scope="module")
def pod(example: Path) -> Iterator[Pod]:
    with tempfile.TemporaryDirectory() as folder:  # short: it has a socket in it
        yield Pod(rendered_app(example), Path(folder))


@pytest.fixture(scope="module")
def running(pod: Pod) -> Iterator[tuple[Started, Started]]:
    """The sidecar and the application, started in the kubelet's order."""
    prefilled = pod.run("clipwarden-fill-vector-cache")
    assert prefilled.returncode == 0, prefilled.stderr
    with pod.started("clipwarden") as sidecar:
        sidecar.said("serving")
        with pod.started("uploads", HOST="127.0.0.1", PORT="0") as application:
            yield sidecar, application


def post(application: Started, body: bytes) -> tuple[int, str]:
    port = int(application.printed("listening on port "))
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/", body=body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()


def test_the_example_keeps_what_is_allowed_and_nothing_else(pod: Pod, running: tuple[Started, Started]) -> None:
    _, application = running
    fine, blocked = (IMAGES / "flag-for-norway.png").read_bytes(), (IMAGES / "beer-mug.png").read_bytes()
    assert post(application, fine) == (201, "kept")
    assert post(application, blocked) == (451, "substances.alcohol")
    assert post(application, b"no image at all") == (400, "IMAGE_FORMAT_UNSUPPORTED")
    kept = list((pod.volume("uploads") / "kept").iterdir())
    assert [file.read_bytes() for file in kept] == [fine]
    assert kept[0].stat().st_mode & 0o777 == 0o640
    assert not [file for file in (pod.volume("uploads") / "incoming").rglob("*") if file.is_file()]


def test_the_application_ends_first_and_the_sidecar_after_it(running: tuple[Started, Started]) -> None:
    sidecar, application = running
    application.printed("listening on port ")
    assert application.end() == 0
    assert sidecar.process.poll() is None
    assert sidecar.end() == 0
