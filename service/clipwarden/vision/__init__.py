"""Seeing: untrusted bytes in, unit vectors out; model folders and their fingerprints."""
