"""What a pod requests altogether: `PodRequests` of component-helpers, and KEP-753 for the sidecars."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.codec import from_wire
from minikubelet.api.effective_resources import amount_text, effective_requests
from minikubelet.api.pod import PodSpec
from minikubelet.api.quantity import Quantity, parse_quantity


def container(
    name: str, cpu: str | None = None, *, sidecar: bool = False, **resources: Any
) -> dict[str, Any]:
    asked = {"requests": {"cpu": cpu}} if cpu is not None else {}
    policy = {"restartPolicy": "Always"} if sidecar else {}
    return {"name": name, "resources": {**asked, **resources}, **policy}


def spec(mains: list[Any], inits: list[Any] | None = None, **fields: Any) -> PodSpec:
    return from_wire({"containers": mains, "initContainers": inits or [], **fields}, PodSpec)


def cpu(pod: PodSpec) -> tuple[str, str]:
    found = effective_requests(pod)["cpu"]
    return amount_text("cpu", found.amount), found.decided_by


def test_mains_add_up() -> None:
    """They all run at once."""
    assert cpu(spec([container("a", "100m"), container("b", "200m")])) == ("300m", "the mains together")


def test_ordinary_inits_count_by_the_largest() -> None:
    """They run one after another, and before the mains."""
    pod = spec([container("main", "100m")], [container("i1", "1"), container("i2", "3")])

    assert cpu(pod) == ("3", "while i2 runs, alone")


def test_sidecars_count_with_the_mains() -> None:
    """KEP-753: they run as long as the mains do."""
    pod = spec([container("main", "100m")], [container("s", "50m", sidecar=True), container("i", "10m")])

    assert cpu(pod) == ("150m", "the mains and sidecars together")


def test_an_init_counts_with_the_sidecars_before_it_only() -> None:
    """KEP-753: those after it have not been started yet."""
    inits = [container("s1", "1", sidecar=True), container("i", "5"), container("s2", "2", sidecar=True)]

    assert cpu(spec([container("main", "1")], inits)) == ("6", "while i runs, with the sidecars before it")


def test_each_resource_is_counted_for_itself() -> None:
    """The moments that decide can differ."""
    init = container("i", requests={"cpu": "2", "memory": "64Mi"})
    found = effective_requests(spec([container("m", requests={"cpu": "1", "memory": "1Gi"})], [init]))

    assert {name: one.decided_by for name, one in found.items()} == {
        "cpu": "while i runs, alone",
        "memory": "the mains together",
    }


def test_a_limit_is_the_request_where_there_is_none() -> None:
    """DEF-2."""
    assert cpu(spec([container("a", limits={"cpu": "2"}), container("b", "1", limits={"cpu": "4"})])) == (
        "3",
        "the mains together",
    )


def test_what_the_pod_says_stands_for_what_its_containers_say() -> None:
    """KEP-2837; only of cpu, memory and huge pages, and a limit counts where nobody requests anything."""
    resources = {"requests": {"cpu": "1"}, "limits": {"cpu": "4", "memory": "1Gi"}}
    found = effective_requests(spec([container("m", "3", limits={"nvidia.com/gpu": 1})], resources=resources))

    texts = {name: amount_text(name, one.amount) for name, one in found.items()}
    assert texts == {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"}


def test_a_limit_of_the_pod_gives_way_to_requests_of_containers() -> None:
    """`setDefaultPodRequests`."""
    assert cpu(spec([container("m", "3")], resources={"limits": {"cpu": "4"}}))[0] == "3"


def test_overhead_comes_on_top() -> None:
    """Also where nobody requests anything."""
    pod = spec([container("m", "1")], overhead={"cpu": "250m", "memory": "120Mi"})

    found = effective_requests(pod)
    assert cpu(pod) == ("1250m", "the mains together, and spec.overhead")
    assert (amount_text("memory", found["memory"].amount), found["memory"].decided_by) == (
        "120Mi",
        "spec.overhead",
    )


def test_who_asks_for_nothing_counts_nothing() -> None:
    """As a BestEffort pod does."""
    assert effective_requests(spec([container("m")])) == {}


@pytest.mark.parametrize(
    ("name", "written", "text"),
    [
        ("cpu", "1500m", "1500m"),
        ("cpu", "2000m", "2"),
        ("cpu", "0.1", "100m"),
        ("memory", "1024Mi", "1Gi"),
        ("memory", "1M", "1000000"),
        ("memory", "0", "0"),
        ("hugepages-2Mi", "4Mi", "4Mi"),
        ("nvidia.com/gpu", "1024", "1024"),
    ],
)
def test_amounts_are_written_as_people_do(name: str, written: str, text: str) -> None:
    """One form for each amount."""
    assert amount_text(name, parse_quantity(written)) == text


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=5),
)
def test_a_pod_requests_the_most_that_ever_runs_at_once(
    mains: list[int], inits: list[tuple[bool, int]]
) -> None:
    """KEP-753, by walking through the start of the pod."""
    running, most = 0, 0
    for is_sidecar, amount in inits:
        most = max(most, running + amount)
        running += amount if is_sidecar else 0
    most = max(most, running + sum(mains))

    listed = [container(f"i{n}", str(amount), sidecar=s) for n, (s, amount) in enumerate(inits)]
    pod = spec([container(f"m{n}", str(amount)) for n, amount in enumerate(mains)], listed)

    assert effective_requests(pod)["cpu"].amount == Quantity(most * 10**9)
