"""MCAP recordings: what a summary says of them."""
