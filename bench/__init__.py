"""Benchmarks that print ratios measured on this machine; run them with `python -m bench`."""

from clipwarden.modelfolder.runtime import keep_onnxruntime_silent

# Here, because some modules below import onnxruntime as they are imported, and its reports start then.
keep_onnxruntime_silent()
