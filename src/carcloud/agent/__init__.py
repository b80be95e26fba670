"""The vehicle's side: reads buses, runs campaigns, keeps what it cannot send, obeys commands.

Standard library and codecs only, so that it runs on a small computer and starts at once.
"""
