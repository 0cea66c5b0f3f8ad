"""Backend-neutral drivers: they decide what to do next, and backends do the arithmetic."""
