"""The policy language: YAML text in, a checked Policy out, and back."""
