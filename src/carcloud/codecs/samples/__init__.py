"""Batches of (signal, time, value) as JSON, CBOR and protobuf: the payloads of MQTT."""
