"""YAML that people write: read with positions, every mistake answered with what to write instead."""
