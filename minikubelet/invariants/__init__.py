"""What must hold of every pod and Job, whatever happens to it, checked over a log of what it did.

A `journal` is written at the seams: what the kubelet asked of its runtime, what the runtime answered, what
was asked of the kubelet and what it published. `check` reads it. Nothing here looks into a record, and no
code is shared with the planner: the rules are stated a second time, as an observer would state them.
"""
