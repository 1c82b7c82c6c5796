"""How a case is judged: the float64 reference, the tolerance that knows its conditioning, sources outside the core."""
