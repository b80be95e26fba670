"""Tenants, people who sign in, and their keys."""
