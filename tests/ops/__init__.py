"""The public ops, on every backend, against NumPy in float64."""
