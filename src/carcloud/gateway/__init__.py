"""Sockets and sessions of vehicles, one module per protocol."""
