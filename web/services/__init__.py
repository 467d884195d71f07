"""What requests decide and do; no Flask, no SQL text."""
