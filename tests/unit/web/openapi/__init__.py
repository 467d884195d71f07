"""No network here: real code over real bytes, seams in memory."""
