"""Frames of animations: read one after another as a browser shows them, and chosen among."""
