"""All that a tenant has: exported whole, and deleted with a certificate."""
