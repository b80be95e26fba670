"""Drivers of the ports: the only place that knows NATS, Delta, DuckDB, SQLAlchemy engines or obstore."""
