"""Write what both charts render into a folder, for checkers: `python -m tests.platform.manifests FOLDER`."""

import sys
import tempfile
from pathlib import Path

import yaml
from tests.platform.cases import CHART_CASES, SIDECAR_CASES
from tests.platform.kit import CHART, Rendered, beside_application, render, with_dependency


def write_manifests(folder: Path) -> None:
    """Render each case of the matrix into a file of its own."""
    with tempfile.TemporaryDirectory() as copy:
        example = with_dependency(Path(copy))
        for name, values in CHART_CASES.items():
            # Other people's containers are theirs to answer for.
            _write(folder / f"chart, {name}.yaml", render({**values, "extraContainers": []}, CHART))
        for name, values in SIDECAR_CASES.items():
            _write(folder / f"sidecar, {name}.yaml", render(beside_application(values), example))


def _write(file: Path, rendered: Rendered) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(rendered.objects), encoding="utf-8")


if __name__ == "__main__":
    write_manifests(Path(sys.argv[1]))
