"""The suite as pytest tests, for ``pytest --pyargs unimodule_conformance --unimodule-backend NAME``."""
