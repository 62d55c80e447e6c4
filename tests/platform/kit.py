"""Render the charts by the real Helm, and read what comes out: objects, or the sentence it refuses by."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.platform.tools import FOLDER

from clipwarden.serving.config import Settings
from clipwarden.serving.sources import load_settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "clipwarden"
SIDECAR = ROOT / "helm" / "clipwarden-sidecar"
EXAMPLE = ROOT / "helm" / "examples" / "uploads"
HELM = str(FOLDER / "helm4")
HELM3 = str(FOLDER / "helm3")
RELEASE, NAMESPACE = "demo", "shop"

Values = Mapping[str, Any]
Manifest = dict[str, Any]


def run(command: Sequence[str], *, text: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program without the user's own settings of Helm."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HELM_")}
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


def template(
    chart: Path, values: Values, *arguments: str, helm: str = HELM, release: str = RELEASE, namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """Render a chart with values that are read from standard input."""
    command = [helm, "template", release, str(chart), "--namespace", namespace, "--values", "-", *arguments]
    return run(command, text=json.dumps(values))


@dataclass(frozen=True)
class Rendered:
    """What a chart renders.

    Attributes:
        objects: In the order that they come.
    """

    objects: Sequence[Manifest]

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.objects)

    @property
    def kinds(self) -> list[str]:
        """Their kinds, sorted."""
        return sorted(item["kind"] for item in self)

    def one(self, kind: str, ending: str = "") -> Manifest:
        """The one object of a kind whose name ends so."""
        (found,) = [item for item in self if item["kind"] == kind and item["metadata"]["name"].endswith(ending)]
        return found

    @property
    def pod(self) -> Manifest:
        """The pod that the Deployment makes."""
        spec: Manifest = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    def container(self, name: str = "clipwarden") -> Manifest:
        """A container of the pod, or an init container."""
        both = [*self.pod.get("initContainers", []), *self.pod["containers"]]
        (found,) = [item for item in both if item["name"] == name]
        return found

    @property
    def settings_text(self) -> str:
        """The file of settings that the server reads."""
        text: str = self.one("ConfigMap", "-settings")["data"]["settings.yaml"]
        return text

    def settings(self, folder: Path) -> Settings:
        """That file, read by the server's own reader."""
        file = folder / "settings.yaml"
        file.write_text(self.settings_text)
        return load_settings({}, {}, [file])


class _Strict(yaml.SafeLoader):
    """Refuses what Flux and strict decoders refuse and others pass over: a key that comes twice in a map."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key comes twice, {node.start_mark}: {sorted(keys)}"
        return super().construct_mapping(node, deep=deep)


def read(text: str) -> Rendered:
    """Read manifests, in which no key may come twice."""
    return Rendered([item for item in yaml.load_all(text, _Strict) if item])


def render(values: Values | None = None, chart: Path = CHART, *, helm: str = HELM) -> Rendered:
    """Render a chart, or fail with what Helm says."""
    done = template(chart, values or {}, helm=helm)
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def refusal(values: Values, chart: Path = CHART, *, helm: str = HELM) -> str:
    """What Helm says of values that it has to refuse."""
    done = template(chart, values, helm=helm)
    assert done.returncode != 0, done.stdout
    assert not done.stdout
    return done.stderr


def with_dependency(folder: Path) -> Path:
    """Copy the example beside the chart of the sidecar, and put that into it, as `helm dependency build` does."""
    shutil.copytree(SIDECAR, folder / SIDECAR.name)
    example = folder / "examples" / EXAMPLE.name
    shutil.copytree(EXAMPLE, example)
    built = run([HELM, "dependency", "build", str(example)])
    assert built.returncode == 0, built.stderr
    return example


def beside_application(values: Values) -> Values:
    """Values of the sidecar as an application's chart has them."""
    return {"clipwarden-sidecar": values}
