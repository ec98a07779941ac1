"""The lifecycle against random pods, lives, faults and interruptions, in virtual time.

A `case` is one world as a value, `generate` draws it from a seed, `engines` runs it, the `invariants` judge
what came of it. What breaks one is made small by `shrink` and kept by `replay`.
"""
