"""What the charts' schemas say that is known elsewhere: settings, alerts, what is Kubernetes' own, what must be there.

`python -m tests.platform.settingsschema` writes it into both `values.schema.json`; a test holds them against it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import getclosurevars
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from tests.platform.kit import CHART, SIDECAR

from clipwarden.serving.config import SETTING_DOCS, SettingDocs
from clipwarden.serving.values import MAX_SECONDS

Schema = dict[str, Any]

COUNTS = ("THREADS", "RUNS", "VIEWS", "IMAGES", "STREAMS", "CONNECTIONS")
KUBERNETES = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local-strict"
TAKEN_OVER = {
    "podSecurityContext": "PodSecurityContext",
    "containerSecurityContext": "SecurityContext",
    "affinity": "Affinity",
    "tolerations": ["Toleration"],
    "gpu.tolerations": ["Toleration"],
    "networkPolicy.clients": ["NetworkPolicyPeer"],
    "networkPolicy.monitoring": ["NetworkPolicyPeer"],
    "networkPolicy.egress": ["NetworkPolicyEgressRule"],
    "extraEnv": ["EnvVar"],
    "extraVolumeMounts": ["VolumeMount"],
}
"""Values that are Kubernetes' own, by their path: of which kind, or lists of which. Left out are containers and
volumes, whose schemas are larger than all others together: the API server says the same."""
MAY_BE_NULL = ("resources", "podSecurityContext", "containerSecurityContext")
"""Values that a null empties, as people do who want nothing of ours there."""


def settings_schema() -> Schema:
    """All settings; those that a chart writes itself are refused by its templates, with what to set instead."""
    known = {name: {**_kind(docs), "description": docs.help} for name, docs in SETTING_DOCS.items()}
    return {"type": "object", "additionalProperties": False, "properties": known}


def _kind(docs: SettingDocs) -> Mapping[str, Any]:
    bound = getclosurevars(docs.read).nonlocals  # what `values.choice` and `values.integer` were made with
    if docs.repeated:
        return {"type": "array", "items": {"type": "string"}}
    if "words" in bound:
        return {"enum": list(bound["words"])}
    if docs.unit in COUNTS:
        return {"type": "integer", "minimum": bound["low"], "maximum": bound["high"]}
    sizes = {"type": ["integer", "string"], "pattern": "^[0-9.]+ ?([KMG]i?B|B)?$", "minimum": bound.get("low", 0)}
    by_unit: Mapping[str, Mapping[str, Any]] = {
        "SECONDS": {"type": "number", "minimum": 0, "maximum": int(MAX_SECONDS)},
        "BOOLEAN": {"type": "boolean"},
        "BYTES": sizes,
    }
    return by_unit.get(docs.unit, {"type": ["string", "integer"]})


def alert_names() -> list[str]:
    """The alerts of the chart, as its template has them."""
    text = (CHART / "templates" / "_alerts.tpl").read_text(encoding="utf-8")
    return re.findall(r"^- alert: (\w+)$", text, re.MULTILINE)


def with_settings(file: Path) -> str:
    """The text of a schema with what it should say of all this; of the sidecar's, of settings alone."""
    schema = json.loads(file.read_text(encoding="utf-8"))
    schema["definitions"]["settings"] = settings_schema()
    if file.parent == CHART:
        schema["properties"]["metrics"]["properties"]["prometheusRule"]["properties"]["disabled"]["items"] = {
            "enum": alert_names()
        }
        _take_over(schema)
        _require(schema, yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")))
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _take_over(schema: Schema) -> None:
    theirs = json.loads((KUBERNETES / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    by_kind = {name.rpartition(".")[2]: name for name in theirs if re.search(r"api\.(core|networking)\.v1\.", name)}
    for path, kind in TAKEN_OVER.items():
        *above, last = path.split(".")
        place = schema
        for name in above:
            place = place["properties"][name]
        ref = {"$ref": f"#/definitions/{kind if isinstance(kind, str) else kind[0]}"}
        place["properties"][last] = ref if isinstance(kind, str) else {"type": "array", "items": ref}
        for name in _needed(theirs, by_kind[ref["$ref"].rpartition("/")[2]]):
            schema["definitions"][name.rpartition(".")[2]] = _plain(theirs[name])


def _needed(theirs: Schema, name: str) -> Iterator[str]:
    yield name
    for other in set(re.findall(r"#/\$defs/([\w.-]+)", json.dumps(theirs[name]))):
        yield from _needed(theirs, other)


def _plain(part: Any) -> Any:  # noqa: ANN401  JSON
    """Without what tools alone read, and with names as short as ours."""
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if not name.startswith("x-")}
        if isinstance(kept.get("description"), str):
            del kept["description"]
        return {name: _short(value) if name == "$ref" else _plain(value) for name, value in kept.items()}
    return [_plain(item) for item in part] if isinstance(part, list) else part


def _short(ref: str) -> str:
    return f"#/definitions/{ref.rpartition('.')[2]}"


def _require(schema: Schema, values: Mapping[str, Any]) -> None:
    """Have a null refused in one line wherever templates count on there being something."""
    needed = [name for name, value in values.items() if value not in (None, {}, [], "") and name not in MAY_BE_NULL]
    schema["required"] = sorted(needed)
    for name in needed:
        within = schema["properties"][name]
        if "properties" in within and isinstance(values[name], dict):
            _require(within, values[name])


FILES = tuple(chart / "values.schema.json" for chart in (CHART, SIDECAR))

if __name__ == "__main__":
    for file in FILES:
        file.write_text(with_settings(file), encoding="utf-8")
