"""Redis: one class per purpose; each method says what happens when Redis is away."""
