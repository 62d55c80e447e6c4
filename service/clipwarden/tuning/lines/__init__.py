"""Labelled scores in; lines whose promise can be broken in at most a stated share of cases, or what is missing, out."""
