"""The HTTP front: views parse and answer, services decide."""
