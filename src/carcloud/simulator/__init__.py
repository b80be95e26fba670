"""Simulated vehicles that speak real protocols over real sockets."""
