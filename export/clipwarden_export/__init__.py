"""A checkpoint in, a verified model folder that `clipwarden serve` runs out."""

from clipwarden.modelfolder.runtime import keep_onnxruntime_silent

# Here, because some modules below import onnxruntime as they are imported, and its reports start then.
keep_onnxruntime_silent()
