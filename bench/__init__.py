"""Benchmarks that print ratios measured on this machine; run them with `python -m bench`."""

import sys
from importlib.util import find_spec

from clipwarden.modelfolder.runtime import keep_onnxruntime_silent

# `python -m bench.pressure` in the environment of `make demo` would else end in the middle of an import.
if missing := [name for name in ("onnx", "pillow_heif") if find_spec(name) is None]:
    sys.exit(f"bench needs {', '.join(missing)}: pip install -e '.[cpu,test]' in a checkout, as `make bench` does")

# Here, because some modules below import onnxruntime as they are imported, and its reports start then.
keep_onnxruntime_silent()
