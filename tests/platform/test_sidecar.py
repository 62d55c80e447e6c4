"""The sidecar in an application's pod: what is rendered, and the pod acted out with its real commands."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.platform.cases import SIDECAR_CASES
from tests.platform.kit import ROOT, Rendered, Values, beside_application, read, render
from tests.platform.livepod import Pod, Started
from tests.platform.plainyaml import FILE, plain_yaml

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
        assert writable <= {"clipwarden-socket", "clipwarden-vectors", "clipwarden-tmp"}
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
