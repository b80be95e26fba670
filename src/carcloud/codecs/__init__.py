"""Wire formats without input or output: bytes in, values or arrays out."""
