"""Drivers of the ports: only here are NATS, Delta, DuckDB, databases and obstore known."""
