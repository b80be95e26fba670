"""The registry of vehicles: identity, model, labels, lifecycle, credentials."""
