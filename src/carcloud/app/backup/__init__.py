"""A copy of a whole installation in a folder, and an installation made of such a copy.

The parts are copied in an order in which nothing that was acknowledged before can be missing:
streams, blobs, records, lake, and the blobs that came meanwhile. What moves from one part to the
next while the copy runs is then in both; positions in the lake and the records tell it apart.
"""
