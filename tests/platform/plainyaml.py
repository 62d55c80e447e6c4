"""The example application as plain manifests, for those who have no Helm.

`python -m tests.platform.plainyaml` renders them anew; a test holds them against the chart.
"""

import re
import tempfile
from pathlib import Path

from tests.platform.kit import EXAMPLE, HELM, run, with_dependency

FILE = EXAMPLE.parent / "uploads.yaml"
HEAD = """\
# The chart helm/examples/uploads with its values as they are, made by: python -m tests.platform.plainyaml
# kubectl apply -f uploads.yaml
"""


def plain_yaml(example: Path) -> str:
    """Render the example, with its dependency in it."""
    done = run([HELM, "template", "uploads", str(example)])
    assert done.returncode == 0, done.stderr
    return HEAD + re.sub(r"\n+---\n", "\n---\n", re.sub(r" +\n", "\n", done.stdout)).rstrip() + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FILE.write_text(plain_yaml(with_dependency(Path(folder))), encoding="utf-8")
