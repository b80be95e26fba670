"""Sockets and sessions of vehicles, one folder per protocol; what they share stands beside."""
