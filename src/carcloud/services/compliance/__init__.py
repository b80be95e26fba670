"""Duties to authorities: a tenant's vehicles forwarded to further platforms."""
