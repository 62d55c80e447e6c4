"""What the charts' schemas say of the server's settings, made of the settings themselves.

`python -m tests.platform.settingsschema` writes it into both `values.schema.json`; a test holds them against it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.platform.kit import CHART, SIDECAR

from clipwarden.serving.config import SETTING_DOCS, SettingDocs

COUNTS = ("THREADS", "RUNS", "VIEWS", "IMAGES", "STREAMS")


def settings_schema() -> dict[str, Any]:
    """All settings; those that a chart writes itself are refused by its templates, with what to set instead."""
    known = {name: {**_kind(docs), "description": docs.help} for name, docs in SETTING_DOCS.items()}
    return {"type": "object", "additionalProperties": False, "properties": known}


def _kind(docs: SettingDocs) -> Mapping[str, Any]:
    if docs.repeated:
        return {"type": "array", "items": {"type": "string"}}
    if docs.unit in COUNTS:
        return {"type": "integer"}
    if docs.unit == "SECONDS":
        return {"type": "number"}
    if docs.unit == "BOOLEAN":
        return {"type": "boolean"}
    if docs.unit == "BYTES":
        return {"type": ["integer", "string"], "pattern": "^[0-9.]+ ?([KMG]i?B|B)?$"}
    return {"type": ["string", "integer"]}


def with_settings(file: Path) -> str:
    """The text of a schema with what it should say of settings."""
    schema = json.loads(file.read_text(encoding="utf-8"))
    schema["definitions"]["settings"] = settings_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


FILES = tuple(chart / "values.schema.json" for chart in (CHART, SIDECAR))

if __name__ == "__main__":
    for file in FILES:
        file.write_text(with_settings(file), encoding="utf-8")
