"""Policies bound to a model: texts become vectors, and both fit into one file."""
