"""The registry of known divergences."""
