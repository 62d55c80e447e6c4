"""Rates, areas, calibrations and thresholds, with the uncertainty that goes with them."""
