"""A pod of the chart, acted out with TLS, tokens, a candidate and an audit log, and looked at by a real Prometheus."""

import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import trustme
import yaml
from tests.platform.kit import ROOT, Rendered, Values, render, run
from tests.platform.livepod import PATIENCE_SECONDS, Pod, Started, until

from clipwarden.client import Client, ImageRefusedError
from clipwarden.policy.shipped import shipped_policy
from kit.addresses import free_address
from kit.certificates import pem

IMAGES = sorted((ROOT / "service" / "clipwarden" / "demo" / "images").glob("*.png"))
TOKEN = "a-token-of-the-tests-0123456789-abcdef"  # noqa: S105  of nobody
STICKERS = shipped_policy("stickers").read_text(encoding="utf-8")
NEXT = re.sub(r"version: .*", 'version: "next"', STICKERS, count=1)
VALUES: Values = {
    "policies": {
        "files": {"stickers.yaml": STICKERS, "next.yaml": NEXT},
        "load": ["stickers.yaml"],
        "candidates": ["next.yaml"],
    },
    "tls": {"existingSecret": "certificate"},
    "tokens": {"existingSecret": "tokens"},
    "auditLog": {"enabled": True, "destination": "file"},
    "autoscaling": {"type": "keda"},
    "metrics": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}},
}
Ask = Callable[..., Any]
"""Asks Prometheus: what, and with which arguments; the `data` of its answer."""

TARGET = {"namespace": "shop", "job": "demo-clipwarden-metrics", "pod": "demo-1"}
"""Labels that the operator gives each target of the ServiceMonitor."""


@dataclass(frozen=True)
class Live:
    """The pod, its server, a client of it, and what the init container wrote into the cache."""

    pod: Pod
    server: Started
    client: Client
    metrics_address: str
    prefilled: dict[Path, int]

    def judge_all(self) -> None:
        for image in IMAGES:
            self.client.moderate(image)
        with pytest.raises(ImageRefusedError):
            self.client.moderate(b"no image")

    def scrape(self) -> str:
        with urlopen(f"http://{self.metrics_address}/metrics", timeout=60) as answer:
            text: str = answer.read().decode()
            return text


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    return render(VALUES)


@pytest.fixture(scope="module")
def pod(rendered: Rendered) -> Iterator[tuple[Pod, trustme.CA]]:
    authority = trustme.CA()
    chain, key = pem(authority.issue_cert("localhost"))
    secrets = {
        "certificate": {"tls.crt": chain, "tls.key": key, "ca.crt": authority.cert_pem.bytes()},
        "tokens": {"tokens": f"tests sha256:{sha256(TOKEN.encode()).hexdigest()}\n"},
    }
    with tempfile.TemporaryDirectory() as folder:
        yield Pod(rendered, Path(folder), secrets), authority


@pytest.fixture(scope="module")
def live(pod: tuple[Pod, trustme.CA]) -> Iterator[Live]:
    laid, authority = pod
    prefilled = laid.run("fill-vector-cache")
    assert prefilled.returncode == 0, prefilled.stderr
    written = _written(laid.volume("vector-cache"))
    with laid.started("clipwarden") as server:
        serving = server.said("serving")
        target = "localhost:" + serving["address"].rpartition(":")[2]
        with Client(target, tls=True, root_certificates=authority.cert_pem.bytes(), token=TOKEN) as client:
            client.wait_until_ready()
            found = Live(laid, server, client, serving["metrics"], written)
            found.judge_all()
            yield found


def test_the_init_container_has_embedded_what_the_server_loads(live: Live) -> None:
    assert live.prefilled
    assert live.prefilled == _written(live.pod.volume("vector-cache"))


def test_the_probes_of_the_manifest_are_answered(live: Live, rendered: Rendered) -> None:
    address = live.server.said("serving")["probes"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = rendered.container()[probe]["httpGet"]["path"]
        with urlopen(f"http://{address}{path}", timeout=60) as answer:
            assert answer.status == 200


def test_an_edit_of_the_config_map_is_taken_over(live: Live) -> None:
    before = live.client.moderate(IMAGES[0]).policy.version
    edited = re.sub(r"version: .*", 'version: "edited"', STICKERS, count=1)
    live.pod.update("policies", {"stickers.yaml": edited, "next.yaml": NEXT})
    until(lambda: live.client.moderate(IMAGES[0]).policy.version == "edited")
    assert before != "edited"


def test_verdicts_are_in_the_audit_log(live: Live) -> None:
    (file,) = live.pod.volume("audit").iterdir()
    until(lambda: file.read_text().count('"record":"judged"') >= len(IMAGES))


def test_promtool_takes_the_metrics(live: Live, promtool: str) -> None:
    checked = run([promtool, "check", "metrics"], text=live.scrape())
    assert (checked.returncode, checked.stderr.strip()) == (0, "")


def test_every_metric_that_is_asked_for_is_there(live: Live, rendered: Rendered) -> None:
    samples = set(re.findall(r"^(clipwarden_\w+)", live.scrape(), re.MULTILINE))
    named = {name for expr in _expressions(rendered) for name in re.findall(r"clipwarden_\w+", expr)}
    named |= {"clipwarden_oldest_seconds"}  # what the HPA asks an adapter for, as it is
    assert len(named) > 25
    assert named - samples == set()


def test_prometheus_has_data_for_every_query(live: Live, rendered: Rendered, prometheus: str, tmp_path: Path) -> None:
    with _load(live), _scraping(prometheus, live, rendered, tmp_path) as ask:
        until(lambda: _has_scraped(ask))
        empty = [expr for expr in _dashboard(rendered) + _triggers(rendered) if not ask("query", query=expr)["result"]]
        assert empty == []
        # What an alert compares has to be there: one about nothing at all is as quiet as one about a usual day.
        compared = {rule["alert"]: _compared(rule["expr"]) for rule in _rules(rendered)}
        found = {name: [ask("query", query=expr)["result"] for expr in sides] for name, sides in compared.items()}
        assert {name for name, results in found.items() if [] in results} == {"ClipwardenAbsent"}
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert {rule["name"]: rule["state"] for rule in rules if rule["state"] != "inactive"} == {}


def test_it_ends_as_it_should(live: Live) -> None:
    assert live.server.end() == 0


def _written(folder: Path) -> dict[Path, int]:
    """The files below a folder, with when they were written last."""
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def _expressions(rendered: Rendered) -> list[str]:
    return _dashboard(rendered) + _triggers(rendered) + [rule["expr"] for rule in _rules(rendered)]


def _rules(rendered: Rendered) -> list[dict[str, Any]]:
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _compared(expr: str) -> list[str]:
    """What an alert compares, without its comparisons; of the one that looks back a week, this hour alone."""
    if " offset 1w" in expr:
        sums = re.findall(r"sum by \([^()]*\) \(increase\([^()]*\)\)", expr)
        return [each for each in sums if " offset 1w" not in each and each.endswith("[1h]))")]
    return [re.split(r"\s(?:>=?|<|==)\s", expr)[0]]


def _triggers(rendered: Rendered) -> list[str]:
    return [trigger["metadata"]["query"] for trigger in rendered.one("ScaledObject")["spec"]["triggers"]]


def _dashboard(rendered: Rendered) -> list[str]:
    """The queries of the dashboard, as Grafana sends them."""
    (text,) = rendered.one("ConfigMap", "-dashboard")["data"].values()
    queries = [target["expr"] for panel in json.loads(text)["panels"] for target in panel.get("targets", [])]
    for variable, value in {"$namespace": "shop", "$job": ".*", "$__rate_interval": "1m"}.items():
        queries = [query.replace(variable, value) for query in queries]
    return queries


@contextmanager
def _load(live: Live) -> Iterator[None]:
    """Have images judged, some of them anew, for as long as the block lasts."""
    over = threading.Event()

    def judge() -> None:
        while not over.wait(0.2):
            live.judge_all()

    with ThreadPoolExecutor(1) as pool:
        judging = pool.submit(judge)
        try:
            yield
        finally:
            over.set()
        judging.result()  # whatever it raised: without images there is no load


@contextmanager
def _scraping(program: str, live: Live, rendered: Rendered, folder: Path) -> Iterator[Ask]:
    """Run Prometheus with the chart's rules, as if the operator had configured it."""
    address = free_address()
    (folder / "rules.yaml").write_text(yaml.safe_dump(rendered.one("PrometheusRule")["spec"]))
    targets = [{"targets": [live.metrics_address], "labels": {**TARGET}}]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": TARGET["job"], "static_configs": targets}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = [program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = Popen([*command, f"--web.listen-address={address}", "--log.level=warn"], stderr=log)
    try:
        yield partial(_ask, address)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _ask(address: str, what: str, **arguments: str) -> Any:  # noqa: ANN401  JSON
    with urlopen(f"http://{address}/api/v1/{what}?{urlencode(arguments)}", timeout=60) as answer:
        return json.load(answer)["data"]


def _has_scraped(ask: Ask) -> bool:
    """Whether there are enough scrapes for a rate; not while Prometheus is not up."""
    with suppress(OSError):
        found = ask("query", query="count_over_time(clipwarden_ready[5m])")["result"]
        return bool(found) and float(found[0]["value"][1]) >= 5
    return False
