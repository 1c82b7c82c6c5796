"""What is asked of a backend."""
