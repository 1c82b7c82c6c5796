"""Hypothesis strategies for arrays, layers, functions, whole models and invalid cases."""
