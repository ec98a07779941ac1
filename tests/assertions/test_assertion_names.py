"""Whom a name means, and what may be said of whom."""

import pytest
from timeline import job, pod

from minikubelet.api.meta import ObjectMeta, OwnerReference
from minikubelet.api.pod import Pod
from minikubelet.assertions import ExpressionError
from minikubelet.assertions.language import Subject
from minikubelet.assertions.names import Cast
from minikubelet.assertions.parser import parse
from minikubelet.assertions.run import Target

REPLICA = Pod(
    ObjectMeta(
        "shop-6c5-x2x",
        labels={"pod-template-hash": "6c5"},
        owner_references=(OwnerReference("apps/v1", "ReplicaSet", "shop-6c5", "u"),),
    ),
    pod("shop", "till").spec,
)
CAST = Cast.of(
    [
        pod("web", gates=["example.com/live"]),
        pod("db", "db"),
        pod("web", namespace="other"),
        pod("work-a", job="work"),
        REPLICA,
    ],
    [job("work"), job("later")],
)


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("till", None, [Target("Pod", "default/shop-6c5-x2x", "till")]),
        ("shop/till", None, [Target("Pod", "default/shop-6c5-x2x", "till")]),
        ("shop", None, [Target("Pod", "default/shop-6c5-x2x")]),
        ("db", None, [Target("Pod", "default/db", "db")]),
        ("db", "pod", [Target("Pod", "default/db")]),
        ("web", None, [Target("Pod", "default/web"), Target("Pod", "other/web")]),
        ("other/web", None, [Target("Pod", "other/web")]),
        ("other/web/main", None, [Target("Pod", "other/web", "main")]),
        ("work", None, [Target("Job", "default/work")]),
        ("work", "pod", [Target("Pod", "default/work-a")]),
        ("work/main", None, [Target("Pod", "default/work-a", "main")]),
        ("later/main", None, []),
    ],
)
def test_a_name_means_containers_first(name: str, kind: str, expected: list[Target]) -> None:
    """Then pods, Jobs, and last the pods that belong to something of that name."""
    assert CAST.find(Subject(name, kind)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "later/main started before later/proxy",
        "web/main exited",
        "pod web example.com/live",
        "pod work was Ready",
        "job later Complete",
        "db stopping",
        "pod db stopping",
        "shop finished",
        "no SIGKILL of work",
        "event Completed of job work happened",
        "reason of web == Evicted",
        "message of db == 'x'",
    ],
)
def test_what_can_be_said(text: str) -> None:
    """Names of what a Job may yet make count too."""
    CAST.check(text, parse(text))


@pytest.mark.parametrize(
    ("text", "marked", "said"),
    [
        (
            "proxi started before main",
            "proxi",
            'there is no container, pod or Job "proxi"; did you mean "proxy"?',
        ),
        ("main started before proxi", "proxi", 'did you mean "proxy"?'),
        ("main exited within 3s after proxi", "proxi", 'did you mean "proxy"?'),
        ("job web Complete", "job", 'there is no Job "web"; there are work, later'),
        ("restarts of pod wob == 1", "pod wob", 'there is no pod "wob"; did you mean "web"?'),
        ("no SIGKILL of nobody", "nobody", "there is no container"),
        ("event BackOff of nobody never happened", "nobody", "there is no container"),
        ("pod web ready", "ready", "ready is said of containers, and pod web is a pod; did you mean Ready?"),
        ("main finished", "finished", "finished is said of pods, and main is a container"),
        ("db Succeeded", "Succeeded", "db is a container; did you mean pod db?"),
        ("job work ready", "ready", "of a Job one says Complete, Failed"),
        ("job work Succeeded", "Succeeded", "Succeeded is no condition of a Job; did you mean"),
        ("pod web Redy", "Redy", "Redy is no phase or condition of a pod; did you mean Ready?"),
        ("pod db example.com/live", "example", "example.com/live is no phase or condition of a pod"),
        ("pod web was Redy", "Redy", "did you mean Ready?"),
        ("restarts of web == 1", "web", "restarts is that of a container, and web is a pod"),
        ("failed pods of main == 1", "main", "failed pods is that of a Job, and main is a container"),
    ],
)
def test_what_cannot_be_said_is_marked(text: str, marked: str, said: str) -> None:
    """With who there is, or who was probably meant."""
    with pytest.raises(ExpressionError) as caught:
        CAST.check(text, parse(text))

    assert said in caught.value.message
    assert caught.value.position == text.index(marked)
