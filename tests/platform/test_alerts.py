"""Each alert fires on what it is about and is quiet on what is usual, by Prometheus' own unit tests of rules."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.platform.kit import ROOT, Manifest, Values, render, run

EVERYTHING: Values = {
    "metrics": {"prometheusRule": {"enabled": True}},
    "tls": {"existingSecret": "certificate"},
    "tokens": {"existingSecret": "tokens"},
    "auditLog": {"enabled": True},
}
"""All alerts: some are there only where what they are about is."""

OF = 'namespace="shop",job="demo-clipwarden-metrics",pod="demo-1"'
WEEK = 7 * 24 * 6
"""In steps of ten minutes, by which the alert is told that looks back so far; all others are told by the minute."""


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{OF}{more}}}", "values": values}


def verdicts(values: str, verdict: str = "allow") -> dict[str, str]:
    return series("clipwarden_verdicts_total", values, policy="shop", verdict=verdict)


def of_another(name: str, values: str) -> dict[str, str]:
    found = series(name, values)
    return {**found, "series": found["series"].replace("demo-1", "demo-2")}


def certificate(*, begins: float, expires: float) -> list[dict[str, str]]:
    """One that is valid from then until then, in days from the test's beginning."""
    return [
        series(f"clipwarden_tls_certificate_{name}_seconds", f"{days * 86400:g}x120")
        for name, days in (("start", begins), ("expiry", expires))
    ]


def of_pods(old: str, new: str, verdict: str) -> list[dict[str, str]]:
    """Verdicts of a pod that a rollout took away after a week, and of the one that came instead; "" for no series."""
    both = {"demo-1": f"{old} _x40", "demo-2": f"_x{WEEK} {new}"}
    found = [(pod, verdicts(values, verdict)) for pod, values in both.items() if (old if pod == "demo-1" else new)]
    return [{**one, "series": one["series"].replace("demo-1", pod)} for pod, one in found]


ALLOWED = verdicts("0+600x20")
SHOP = {"policy": "shop", "version": "1"}

FIRES: dict[str, tuple[list[dict[str, str]], int]] = {
    "ClipwardenAbsent": ([], 6),
    "ClipwardenPodDown": ([series("up", "0x20")], 6),
    "ClipwardenNotReady": ([series("clipwarden_ready", "0x20")], 3),
    "ClipwardenPodNotReady": ([series("clipwarden_ready", "0x20"), of_another("clipwarden_ready", "1x20")], 6),
    "ClipwardenStuckThreads": ([series("clipwarden_stuck_threads", "1x20", stage="decode")], 3),
    "ClipwardenFaults": ([series("clipwarden_errors_total", "0x3 1x20", method="Moderate", reason="INTERNAL")], 8),
    "ClipwardenQueueOld": ([series("clipwarden_oldest_seconds", "3x20")], 6),
    "ClipwardenRefuses": ([ALLOWED, series("clipwarden_refusals_total", "0+12x20", cause="wait")], 16),
    "ClipwardenLate": ([ALLOWED, series("clipwarden_errors_total", "0+12x20", reason="DEADLINE_EXCEEDED")], 16),
    "ClipwardenLoopLag": (
        [
            series("clipwarden_loop_lag_seconds_bucket", "0+300x20", le="0.1"),
            series("clipwarden_loop_lag_seconds_bucket", "0+600x20", le="0.5"),
            series("clipwarden_loop_lag_seconds_bucket", "0+600x20", le="+Inf"),
        ],
        16,
    ),
    "ClipwardenReloadFailed": ([series("clipwarden_policy_last_reload_successful", "1x2 0x20")], 6),
    "ClipwardenPoliciesDiffer": (
        [
            series("clipwarden_policy_info", "1x30", **SHOP, digest="sha256:a"),
            series("clipwarden_policy_info", "1x30", **SHOP, digest="sha256:b"),
        ],
        16,
    ),
    "ClipwardenModelsDiffer": (
        [
            series("clipwarden_model_info", "1x90", fingerprint="a"),
            series("clipwarden_model_info", "1x90", fingerprint="b"),
        ],
        61,
    ),
    "ClipwardenEnforcesNothing": (
        [series("clipwarden_policy_categories", "0x30", policy="shop", context="", mode="enforce")],
        16,
    ),
    "ClipwardenUnboundCategories": ([series("clipwarden_policy_unbound_categories", "2x30", policy="shop")], 16),
    "ClipwardenCertificateExpires": (certificate(begins=-80, expires=10), 61),
    "ClipwardenSecretRefused": ([series("clipwarden_secret_last_reload_successful", "1x3 0x30", subject="tokens")], 30),
    "ClipwardenAuditFailing": ([series("clipwarden_audit_failing", "1x20")], 3),
    "ClipwardenAuditDropped": ([series("clipwarden_audit_dropped_total", "0x3 40x20")], 6),
}
"""By alert: series that are a case of it, a value a minute, and the minute at which it fires."""

LOOKS_BACK = "ClipwardenBlockShareMoved"

USUAL = [
    series("up", "1x120"),
    series("clipwarden_ready", "1x120"),
    series("clipwarden_stuck_threads", "0x120", stage="decode"),
    series("clipwarden_errors_total", "0+1x120", method="Moderate", reason="IMAGE_CORRUPT"),
    series("clipwarden_errors_total", "0x120", method="Moderate", reason="INTERNAL"),
    series("clipwarden_errors_total", "0+1x120", method="Moderate", reason="DEADLINE_EXCEEDED"),
    series("clipwarden_oldest_seconds", "0.4x120"),
    series("clipwarden_refusals_total", "0+1x120", cause="wait"),
    verdicts("0+600x120"),
    verdicts("0+6x120", "block"),
    series("clipwarden_loop_lag_seconds_bucket", "0+600x120", le="0.01"),
    series("clipwarden_loop_lag_seconds_bucket", "0+600x120", le="+Inf"),
    series("clipwarden_policy_last_reload_successful", "1x120"),
    series("clipwarden_policy_info", "1x120", **SHOP, digest="sha256:a"),
    series("clipwarden_model_info", "1x120", fingerprint="a"),
    series("clipwarden_policy_categories", "4x120", policy="shop", context="", mode="enforce"),
    series("clipwarden_policy_categories", "0x120", policy="shop", context="art", mode="enforce"),
    series("clipwarden_policy_unbound_categories", "0x120", policy="shop"),
    *certificate(begins=-60, expires=30),
    series("clipwarden_secret_last_reload_successful", "1x120", subject="tokens"),
    series("clipwarden_audit_failing", "0x120"),
    series("clipwarden_audit_dropped_total", "3x120"),
]
"""Two hours of a server that has some damaged images, a few refusals and one line that was lost long ago."""


@pytest.fixture(scope="module")
def rules() -> Manifest:
    found: Manifest = render(EVERYTHING).one("PrometheusRule")["spec"]
    return found


@pytest.fixture(scope="module")
def rules_file(rules: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(rules))
    return file


def alerts(rules: Manifest) -> list[dict[str, Any]]:
    return [rule for group in rules["groups"] for rule in group["rules"]]


def test_promtool_takes_the_rules(rules_file: Path, promtool: str) -> None:
    checked = run([promtool, "check", "rules", "--lint=all", "--lint-fatal", str(rules_file)])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_tested(rules: Manifest) -> None:
    assert {rule["alert"] for rule in alerts(rules)} == {*FIRES, LOOKS_BACK}


@pytest.mark.parametrize("alert", FIRES)
def test_it_fires_on_what_it_is_about(alert: str, rules: Manifest, rules_file: Path, promtool: str) -> None:
    found, minute = FIRES[alert]
    unit = {"interval": "1m", "input_series": found, "promql_expr_test": [_is(alert, minute, fires=True)]}
    _holds(unit, rules_file, promtool)
    (rule,) = [rule for rule in alerts(rules) if rule["alert"] == alert]
    assert rule["labels"]["severity"] in ("critical", "warning")


ALL_REFUSED = {
    "ClipwardenRefuses": series("clipwarden_refusals_total", "0+600x60", cause="wait"),
    "ClipwardenLate": series("clipwarden_errors_total", "0+600x60", method="Moderate", reason="DEADLINE_EXCEEDED"),
}


@pytest.mark.parametrize("alert", ALL_REFUSED)
def test_a_pod_that_never_judged_an_image_alerts_all_the_same(alert: str, rules_file: Path, promtool: str) -> None:
    unit = {"interval": "1m", "input_series": [ALL_REFUSED[alert]], "promql_expr_test": [_is(alert, 40, fires=True)]}
    _holds(unit, rules_file, promtool)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            [*of_pods(f"0+1000x{WEEK}", "0+1000x40", "allow"), *of_pods(f"0+100x{WEEK}", "", "block")],
            id="no blocks after a rollout, and no series of them",
        ),
        pytest.param(
            [*of_pods(f"0+1000x{WEEK}", "0+1000x40", "allow"), *of_pods(f"0+100x{WEEK}", "0x40", "block")],
            id="no blocks after a rollout",
        ),
        pytest.param(
            [*of_pods(f"0+1000x{WEEK}", "0+1000x40", "allow"), *of_pods("", "0+100x40", "block")],
            id="blocks after a week without a series of them",
        ),
    ],
)
def test_blocks_that_come_or_go_with_their_series_fire(
    found: list[dict[str, str]], rules_file: Path, promtool: str
) -> None:
    tested = [_is(LOOKS_BACK, 10 * (WEEK + 30), fires=True)]
    _holds({"interval": "10m", "input_series": found, "promql_expr_test": tested}, rules_file, promtool)


@pytest.mark.parametrize(
    ("begins", "expires", "fires"),
    [
        pytest.param(-76, 14.5, False, id="ninety days, more than two weeks before"),
        pytest.param(-77, 13, True, id="ninety days, less than two weeks before"),
        pytest.param(-0.5, 0.5, False, id="a day, halfway"),
        pytest.param(-0.85, 0.15, True, id="a day, near its end"),
        pytest.param(-5, 2, False, id="a week, at its usual renewal"),
    ],
)
def test_a_certificate_is_warned_of_by_the_share_of_its_life(
    begins: float, expires: float, rules_file: Path, promtool: str, *, fires: bool
) -> None:
    tested = [_is("ClipwardenCertificateExpires", 61, fires=fires)]
    unit = {"interval": "1m", "input_series": certificate(begins=begins, expires=expires), "promql_expr_test": tested}
    _holds(unit, rules_file, promtool)


def test_one_pod_of_two_that_is_not_ready_wakes_nobody(rules_file: Path, promtool: str) -> None:
    found = [series("clipwarden_ready", "0x20"), of_another("clipwarden_ready", "1x20")]
    tested = [_is("ClipwardenNotReady", 15, fires=False)]
    _holds({"interval": "1m", "input_series": found, "promql_expr_test": tested}, rules_file, promtool)


def test_all_are_quiet_on_a_usual_day(rules_file: Path, promtool: str) -> None:
    quiet = [_is(alert, 110, fires=False) for alert in [*FIRES, LOOKS_BACK]]
    _holds({"interval": "1m", "input_series": USUAL, "promql_expr_test": quiet}, rules_file, promtool)


@pytest.mark.parametrize(
    ("blocked", "fires"),
    [
        pytest.param(f"0+10x{WEEK} {10 * WEEK}+100x30", True, id="ten times as many"),
        pytest.param(f"0+100x{WEEK} {100 * WEEK}+10x30", True, id="a tenth"),
        pytest.param(f"0+10x{WEEK} {10 * WEEK}+20x30", False, id="twice as many"),
        pytest.param(f"0+0.1x{WEEK} {0.1 * WEEK}+1x30", False, id="ten times as many of next to none"),
        pytest.param(f"0+0.1x{WEEK} {0.1 * WEEK}+100x30", True, id="many of next to none"),
    ],
)
def test_a_share_of_blocks_that_moves_fires(blocked: str, rules_file: Path, promtool: str, *, fires: bool) -> None:
    found = [verdicts(f"0+1000x{WEEK + 30}"), verdicts(blocked, "block")]
    tested = [_is(LOOKS_BACK, 10 * (WEEK + 20), fires=fires)]
    _holds({"interval": "10m", "input_series": found, "promql_expr_test": tested}, rules_file, promtool)


def _is(alert: str, minute: int, *, fires: bool) -> dict[str, Any]:
    expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > 0'
    samples = [{"labels": "{}", "value": 1}] if fires else []
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}


def _holds(unit: dict[str, Any], rules_file: Path, promtool: str) -> None:
    file = rules_file.parent / "test.yaml"
    file.write_text(
        json.dumps({"rule_files": [rules_file.name], "evaluation_interval": unit["interval"], "tests": [unit]})
    )
    done = run([promtool, "test", "rules", str(file)])
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_about_what_is_not_there_are_left_out() -> None:
    plain = render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")["spec"]
    left_out = {
        "ClipwardenCertificateExpires",
        "ClipwardenSecretRefused",
        "ClipwardenAuditFailing",
        "ClipwardenAuditDropped",
    }
    assert {*FIRES, LOOKS_BACK} - {rule["alert"] for rule in alerts(plain)} == left_out


def test_labels_limits_and_omissions_are_the_operators_own() -> None:
    values = {
        "enabled": True,
        "alertLabels": {"team": "trust"},
        "disabled": ["ClipwardenLate"],
        "thresholds": {"queueAgeSeconds": 7.5},
    }
    spec = render({"metrics": {"prometheusRule": values}}).one("PrometheusRule")["spec"]
    named = {rule["alert"]: rule for rule in alerts(spec)}
    assert "ClipwardenLate" not in named
    assert named["ClipwardenQueueOld"]["expr"].endswith("> 7.5")
    assert all(rule["labels"]["team"] == "trust" for rule in named.values())


def test_each_alert_has_a_place_that_says_what_to_do(rules: Manifest) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    headings = {heading.lower() for heading in re.findall(r"^#+ (Clipwarden\w+)$", page, re.MULTILINE)}
    assert headings == {rule["alert"].lower() for rule in alerts(rules)}
    for rule in alerts(rules):
        where, _, heading = rule["annotations"]["runbook_url"].partition("#")
        assert where.endswith("/docs/kubernetes.md")
        assert heading == rule["alert"].lower()
        assert rule["annotations"]["summary"].endswith(".")
