"""CAN: frames as arrays, bus logs, transport layers, OBD-II and trouble codes."""
