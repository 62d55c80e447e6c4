"""What is written beside the image says the same as the image: no tool is needed to see that."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from clipwarden.serving.sources import load_settings
from kit.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINNED = re.compile(r"^([\w.-]+)==([\w.+]+)", re.MULTILINE)


def stage(name: str) -> str:
    """A stage of the Dockerfile, without comments."""
    body = re.search(rf"^FROM [^\n]+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.DOTALL | re.MULTILINE)
    assert body
    return "\n".join(line for line in body[1].splitlines() if not line.startswith("#") and line.strip())


def service() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["clipwarden"])


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_has_all_packages_that_the_project_asks_for(target: str) -> None:
    locked = (ROOT / "container" / f"requirements-{target}.txt").read_text()
    pins: dict[str, list[str]] = {}
    for name, version in PINNED.findall(locked):
        pins.setdefault(name.lower(), []).append(version)
    project = PROJECT["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"][target]]:
        asked = Requirement(text)
        versions = pins.get(asked.name.lower(), [])
        assert versions, f"{asked.name}: run make image-requirements"
        assert all(asked.specifier.contains(version) for version in versions), f"{text}: run make image-requirements"


def test_both_targets_say_the_same_but_for_their_files_and_base() -> None:
    like_cpu = re.sub("-gpu|, on NVIDIA GPUs", "", stage("gpu").replace("gpu-", "cpu-").replace("CUDA_", "PYTHON_"))
    assert like_cpu == stage("cpu")


def test_the_last_target_is_the_one_for_cpus() -> None:
    assert re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE, re.MULTILINE)[-1] == "cpu"


@pytest.mark.parametrize(("target", "provider"), [("cpu", "CPUExecutionProvider"), ("gpu", "CUDAExecutionProvider")])
def test_an_image_listens_where_it_exposes(target: str, provider: str) -> None:
    settings = load_settings({}, {}, [ROOT / "container" / f"settings-{target}.yaml"])
    addresses = (settings.listen, settings.probe_listen, settings.metrics_listen)
    assert addresses == tuple(f"0.0.0.0:{port}" for port in re.findall(r"\d+", stage(target).split("EXPOSE")[1])[:3])
    assert settings.provider == provider


def test_the_version_is_the_projects() -> None:
    version = PROJECT["project"]["version"]
    assert set(re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE)) == {version}
    assert service()["image"] == f"clipwarden:{version}"


def test_compose_asks_for_health_as_the_image_does_and_lets_it_drain() -> None:
    declared = stage("cpu").partition("HEALTHCHECK ")[2]
    check = service()["healthcheck"]
    assert check["test"] == ["CMD", *re.findall(r'"([^"]+)"', declared.partition("CMD ")[2].splitlines()[0])]
    for option in ("interval", "timeout", "start_period"):
        assert f"--{option.replace('_', '-')}={check[option]}" in declared
    settings = load_settings({}, {}, [])
    assert int(service()["stop_grace_period"].removesuffix("s")) > settings.drain_delay_seconds + settings.drain_seconds


def test_the_user_is_the_one_of_the_chart() -> None:
    chart = yaml.safe_load((ROOT / "helm" / "clipwarden" / "values.yaml").read_text())["podSecurityContext"]
    assert f"USER {chart['runAsUser']}:{chart['runAsGroup']}" in stage("cpu")
    assert service()["user"] == f"{chart['runAsUser']}:{chart['runAsGroup']}"
