"""What a process must know before its first request; imports nothing of ours."""
