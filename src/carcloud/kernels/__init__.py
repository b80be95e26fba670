"""Arrays in, arrays out; a plain reference stands beside every compiled version."""
