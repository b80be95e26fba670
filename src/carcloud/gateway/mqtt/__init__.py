"""MQTT 3.1.1 and 5, vehicle to cloud and back.

`gateway` listens, `session` is one connection, `connecting` lets it in. From then on `upward` takes
what the vehicle publishes and `downward` brings it what waits for it; `state` is what outlives a
connection, `downlink` where the messages come from.
"""
