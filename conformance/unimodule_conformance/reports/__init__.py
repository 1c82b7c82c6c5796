"""Tells what a run found: terminal, JSON, JUnit, HTML."""
