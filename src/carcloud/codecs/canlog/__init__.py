"""Bus logs decoded: transport layers, DBC databases and OBD-II joined, and tables of the result."""
