"""The S3 protocol without sockets: signatures, streaming bodies, documents, errors.

Source: the Amazon S3 API Reference (2006-03-01) and the Signature Version 4 documents.
"""
