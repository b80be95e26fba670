"""HTTP: one module of routes per service, and the built pages."""
