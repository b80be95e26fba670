"""The tables of the records, step by step: revisions in `versions/`, run by `steps`.

A change of a service's tables needs a revision here; a test fails without one. `draft` writes it.
"""
