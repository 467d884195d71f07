"""Tests against the whole stack as make run starts it."""
