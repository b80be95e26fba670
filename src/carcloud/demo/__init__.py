"""The demo: the whole cloud, a simulated fleet, and the reckoning at the end."""
