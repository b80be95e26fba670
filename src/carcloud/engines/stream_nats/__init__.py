"""The stream port on NATS JetStream: the embedded server, and the client for any server."""

from carcloud.engines.stream_nats.server import Member, NatsServer
from carcloud.engines.stream_nats.stream import NatsStream

__all__ = ["Member", "NatsServer", "NatsStream"]
