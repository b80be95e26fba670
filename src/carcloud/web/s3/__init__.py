"""The S3 interface to buckets: an ASGI application of its own, without the framework of the API."""
