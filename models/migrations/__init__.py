"""Schema migrations: the only source of the tables, on every database."""
