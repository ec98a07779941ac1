"""What must hold of every pod and Job, whatever happens to it, checked over a log of what it did.

A `journal` is written at the seams: what the kubelet asked of its runtime, what the runtime answered, what
was asked of the kubelet and what it published. `check` reads it. Nothing here looks into a record, and no
code is shared with the planner: the rules are stated a second time, as an observer would state them.
"""

import os


def wanted_everywhere() -> bool:
    """`MINIKUBELET_CHECK` is set: every real run is checked, of the command line, `open_kubelet` and tests.

    Its value is 1 (0 is no), or a file to which violations are appended.
    """
    return os.environ.get("MINIKUBELET_CHECK", "") not in ("", "0")
