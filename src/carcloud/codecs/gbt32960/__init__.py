"""GB/T 32960.3, editions 2016 and 2025, without input or output.

Bytes to frames: `frame`. Frames to messages: `decode`, which interprets the field tables
(`tables`, `tables_2016`, `tables_2025`, written with `layout`) by `reading`; `message` is what
comes out, `signals` its VSS form, `digest` its identity, `describe` its JSON for a line of
hexadecimal text. The other way: `encode`, by `writing`. Keys: `security`, `signature`.
Whole blocks of reports to Arrow: `columnar`, by the mapping table `vss`.
"""
