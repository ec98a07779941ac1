"""One world to run the lifecycle in, as a value: pods, what their processes do, and what happens to them."""

from collections.abc import Mapping
from math import inf
from typing import Literal

import attrs

from minikubelet.api.job import Job
from minikubelet.api.pod import Pod
from minikubelet.lifecycle.settings import LifecycleSettings
from minikubelet.runtime.simulated import Script


@attrs.frozen
class Request:
    """Something asked of the kubelet from outside, at `at` seconds."""

    at: float
    what: Literal["delete", "gate", "create"]
    "`create`: the pod of that name once more, to which nothing comes while there is one that is to stay."
    key: str = ""
    "`namespace/name` of a pod or Job; empty for everything there is."
    number: int | None = attrs.field(default=None, kw_only=True)
    "Only that pod of the Job, counted from 0 in the order in which they were made."
    grace_seconds: int | None = None
    condition_type: str = ""
    status: bool = True


@attrs.frozen
class Case:
    """Nothing else decides what happens: the same case gives the same journal, entry by entry.

    Lengths are seconds. Those of generated cases are multiples of 1/1024, so that sums of them are exact
    and things do fall into the same instant.
    """

    pods: tuple[Pod, ...] = ()
    jobs: tuple[Job, ...] = ()
    scripts: Mapping[str, tuple[Script, ...]] = attrs.Factory(dict)
    "By container name: the first run in the world of a container of that name plays the first, and so on."
    requests: tuple[Request, ...] = ()
    settings: LifecycleSettings = attrs.Factory(LifecycleSettings)
    priorities: tuple[int, ...] = ()
    "Of what is due at the same instant the lowest comes first; dealt out in turn as things are planned."
    prepare_failures: int = 0
    heals_at: float = inf
    "From then on nothing new goes wrong."
    ends_at: float = 1000.0
    "Everything is deleted; what never ends by itself has to end then."
    names: int = 0
    "Seed of the uids and of the names of a Job's pods."
