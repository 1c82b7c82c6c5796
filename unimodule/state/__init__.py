"""Saving and loading: state dictionaries, safetensors files, PyTorch files."""

from .files import load, save

__all__ = ["load", "save"]
