"""Business areas. Others enter a service through its `api` module only."""
