"""JT/T 808, editions 2011, 2013 and 2019, without input or output.

Bytes to frames and back: `frame`. Messages that travel in several packets: `packets`. Bodies to
fields and back: `decode`, `encode`, by the tables of `tables`. Position reports as signals:
`reports` and `signals`, and compiled for whole blocks: `columnar`.
"""
