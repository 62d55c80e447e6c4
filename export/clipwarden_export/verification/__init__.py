"""Nothing is published before onnxruntime has agreed with torch: evidence, comparisons, golden vectors."""
