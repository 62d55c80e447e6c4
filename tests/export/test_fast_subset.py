"""The fast subset imports none of the heavy packages, even where they are installed, as here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLLECT = """
import sys, pytest
code = pytest.main(["--fast", "--collect-only", "-q", "-p", "no:cacheprovider", "--assert=plain"])
heavy = {"diffusers", "open_clip", "sklearn", "torch", "transformers"} & set(sys.modules)
sys.exit(int(code) or bool(heavy))
"""


def test_fast_subset_leaves_the_heavy_folders_out_and_imports_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folders = {line.split("/")[1] for line in done.stdout.splitlines() if line.startswith("tests/")}
    assert folders == {"demo", "docs", "rpc", "unit"}
