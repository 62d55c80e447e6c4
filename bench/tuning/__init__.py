"""What the methods of tuning promise, simulated: `python -m bench.tuning coverage`."""
