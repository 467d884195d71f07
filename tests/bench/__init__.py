"""The bench: `python -m tests.bench` measures the whole stack on this machine."""
