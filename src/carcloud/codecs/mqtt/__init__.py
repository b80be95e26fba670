"""MQTT 3.1.1 and 5: packets of both directions, topics, and the form in which messages are kept."""
