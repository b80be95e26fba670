"""GB/T 32960.3, server and client side.

`gateway` listens, `session` is one connection and what all have in common, `login` lets it in,
`vehicle_link` (Annex B) and `platform_link` (clause 5) say what its frames mean from then on.
`forward` is the client side of a platform link: our vehicles to a further platform.
"""
