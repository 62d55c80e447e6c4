"""Checkpoints: found, read and opened as towers of torch modules."""
