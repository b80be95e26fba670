"""Data-collection campaigns: documents, conditions, their evaluation, and what they collect.

Standard library only, no clock and no input or output of its own: the same code runs in the
vehicle, in the cloud's dry run and in tests.
"""
