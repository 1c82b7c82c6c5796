"""Draws cases, runs checks, spends the time, shrinks what fails."""
