"""The only place that picks engines and wires services into roles."""
