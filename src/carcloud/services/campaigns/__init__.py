"""Campaigns in the cloud: written, approved, brought to vehicles, followed."""
