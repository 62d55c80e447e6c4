"""Benchmarks that print ratios measured on this machine; run them with `python -m bench`."""
