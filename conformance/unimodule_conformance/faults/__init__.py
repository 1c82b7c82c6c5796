"""Seeded faults: the proof that the suite would notice."""
