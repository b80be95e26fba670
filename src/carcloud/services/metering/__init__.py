"""What tenants used and what it costs: meters, price books, statements, budgets."""
