"""The server's own reader takes what the chart writes, so that a renamed setting fails here and not in a cluster."""

import re
from pathlib import Path

import pytest
import yaml
from tests.platform.cases import CHART_CASES
from tests.platform.kit import CHART, Values, render

from clipwarden.serving.config import SETTING_DOCS, Settings
from clipwarden.serving.memory import memory_bounds
from clipwarden.serving.sources import load_settings

GIB = 2**30


@pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in CHART_CASES.items()])
def test_the_server_reads_what_is_rendered(values: Values, tmp_path: Path) -> None:
    settings = render(values).settings(tmp_path)
    for name, value in values.get("settings", {}).items():
        assert getattr(settings, name) == value


def test_the_defaults_are_those_that_the_values_say(tmp_path: Path) -> None:
    settings = render().settings(tmp_path)
    assert (settings.listen, settings.probe_listen, settings.metrics_listen) == (
        "0.0.0.0:50051",
        "0.0.0.0:8081",
        "0.0.0.0:9464",
    )
    assert (settings.drain_delay_seconds, settings.drain_seconds) == (5, 20)
    assert settings.max_connection_age_seconds == 300
    assert (settings.model, settings.policies, settings.vector_cache) == ("mini", (), "/var/cache/clipwarden")


def test_policies_are_found_where_they_are(tmp_path: Path) -> None:
    settings = render(CHART_CASES["policies in the values"]).settings(tmp_path)
    folder = "/etc/clipwarden/policies"
    assert settings.policies == (f"{folder}/shop.yaml", f"{folder}/chat.yaml", "stickers")
    assert settings.candidates == (f"{folder}/shop-next.yaml",)
    assert settings.default_policy == "shop"
    claimed = render(CHART_CASES["a model from a claim"]).settings(tmp_path)
    assert (claimed.model, claimed.policies) == ("/models/vit-b-32", ("/models/shop.bundle",))


def test_secrets_are_found_where_they_are_mounted(tmp_path: Path) -> None:
    rendered = render({**CHART_CASES["tls from a secret"], "tokens": {"existingSecret": "tokens", "key": "callers"}})
    settings = rendered.settings(tmp_path)
    assert (settings.tls_certificate, settings.tls_key) == (
        "/etc/clipwarden/tls/tls.crt",
        "/etc/clipwarden/tls/tls.key",
    )
    assert settings.tls_client_ca == "/etc/clipwarden/client-ca/ca.crt"
    assert settings.tokens == "/etc/clipwarden/tokens/callers"


def test_large_numbers_are_written_as_people_write_them(tmp_path: Path) -> None:
    rendered = render(CHART_CASES["numbers"])
    assert "queue_bytes: 1073741824" in rendered.settings_text
    assert "e+" not in rendered.settings_text
    assert rendered.settings(tmp_path).stall_seconds == 12.5


def test_the_memory_that_settings_may_take_is_within_the_limit(example: Path, tmp_path: Path) -> None:
    assert _bounded(render().settings(tmp_path), cpus=2) < 3 * GIB
    assert _bounded(render({}, example).settings(tmp_path), cpus=1) < GIB
    assert render({}, example).container()["resources"]["limits"]["memory"] == "1Gi"


def test_the_settings_for_a_gibibyte_take_no_more(tmp_path: Path) -> None:
    comments = re.findall(r"^# ?(.*)$", (CHART / "values.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    advice = "\n".join(comments).partition("For 1 GiB:\n")[2].partition("}")[0] + "}"
    file = tmp_path / "advice.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(advice)["settings"]))
    assert _bounded(load_settings({}, {}, [file]), cpus=2) < GIB


def _bounded(settings: Settings, *, cpus: int) -> int:
    runs = 10 * 2**20 * (cpus + 1)
    return sum(memory_bounds(settings, decode_threads=cpus).values()) + runs


def test_every_setting_can_be_set_or_is_written_by_the_chart() -> None:
    own = _own_settings()
    assert own.keys() <= SETTING_DOCS.keys()
    assert {"listen", "probe_listen", "tls_certificate", "tokens", "audit_log", "drain_seconds"} <= own.keys()


def _own_settings() -> dict[str, str]:
    text = (CHART / "templates" / "_settings.tpl").read_text(encoding="utf-8")
    block = text.partition('define "clipwarden.ownSettings" -}}')[2].partition("{{- end")[0]
    read: dict[str, str] = yaml.safe_load(block)
    return read
