"""Jobs: work that tenants have done for them, now, later or again and again."""
