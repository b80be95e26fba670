"""Commands to vehicles, and the state that is desired of them."""
