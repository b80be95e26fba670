"""The signals that a tenant knows: the catalogue, and the tenant's own overlay on it."""
