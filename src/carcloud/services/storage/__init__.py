"""Buckets and objects of tenants."""
