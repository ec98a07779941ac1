"""securityContext: who containers are, what they may become, and what is told where that cannot be."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from minikubelet.api.codec import from_wire
from minikubelet.api.pod import Container, Pod
from minikubelet.runtime import users
from minikubelet.runtime.base import StartError
from minikubelet.runtime.security import (
    CAPABILITIES,
    Security,
    container_security,
    shortfalls,
    wants_id_map,
)
from minikubelet.runtime.spawn import User
from minikubelet.runtime.users import find_identity

Become = Callable[[int], None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    """Be the user with this uid, as far as decisions go."""

    def set_uid(uid: int) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(os, "getegid", lambda: uid)
        monkeypatch.setattr(os, "getgroups", lambda: [uid])
        monkeypatch.setattr(users, "has_capability", lambda number: uid == 0)

    return set_uid


def pod_with(of_pod: dict[str, Any] | None = None, of_container: dict[str, Any] | None = None) -> Pod:
    return from_wire(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {
                "securityContext": of_pod or {},
                "containers": [{"name": "c", "image": "x", "securityContext": of_container or {}}],
            },
        },
        Pod,
    )


def container_of(pod: Pod) -> Container:
    return pod.spec.containers[0]


def security(pod: Pod, image_user: str | None = None, *, has_namespace: bool = False) -> Security:
    return container_security(pod, container_of(pod), image_user, has_namespace=has_namespace)


# ------------------------------------------------------------------ who


def test_nothing_asked_is_nothing_done(become: Become) -> None:
    """Everybody stays who they are, and no program is needed for it."""
    for uid in (0, 1000):
        become(uid)

        assert security(pod_with()) == Security()
        assert security(pod_with()).setpriv == ()


def test_the_containers_own_ids_win(become: Become) -> None:
    """Over the pod's, and over the image's."""
    become(0)
    pod = pod_with({"runAsUser": 1, "runAsGroup": 2}, {"runAsUser": 54321})

    assert security(pod, "65534").user == User(54321, 2)


def test_a_uid_without_a_group_has_group_0(become: Become) -> None:
    """If nobody on the host has it; as in a container."""
    become(0)

    assert security(pod_with({"runAsUser": 54321})).user == User(54321, 0)


def test_groups_are_those_of_the_pod_and_of_the_user(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsGroup, supplementalGroups, and, unless the policy is Strict, what the host's user belongs to."""
    become(0)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 777])
    groups = {"runAsUser": 65534, "fsGroup": 5, "supplementalGroups": [6, 7]}

    merged = security(pod_with(groups)).user
    strict = security(pod_with({**groups, "supplementalGroupsPolicy": "Strict"})).user

    assert merged is not None and merged.groups == (777, 5, 6, 7)
    assert strict is not None and strict.groups == (5, 6, 7)


def test_groups_alone_leave_the_user(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsGroup is not a change of user."""
    become(0)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid])

    assert security(pod_with({"fsGroup": 5})).user == User(0, 0, (5,))


def test_home_is_that_of_the_user(become: Become) -> None:
    """As runtimes set it; `/` for those whom nobody knows."""
    become(0)

    assert security(pod_with({"runAsUser": 54321})).home == "/"
    assert security(pod_with()).home is None


def test_without_root_a_user_namespace_shows_the_ids(become: Become) -> None:
    """Only the manifest's: an image's user is there to give root away."""
    become(1000)
    pod = pod_with({"runAsUser": 54321, "runAsGroup": 7})

    assert security(pod, has_namespace=True).seen_as == (54321, 7)
    assert security(pod).seen_as is None
    assert security(pod_with(), "54321", has_namespace=True) == Security()


def test_own_ids_need_no_user_namespace(become: Become) -> None:
    """Nor does root, who just becomes somebody."""
    pod = pod_with({"runAsUser": 1000})
    become(1000)
    assert not wants_id_map(pod.spec, container_of(pod))
    become(1001)
    assert wants_id_map(pod.spec, container_of(pod))
    become(0)
    assert not wants_id_map(pod.spec, container_of(pod))


@pytest.mark.parametrize(
    "user", ["nobody-at-all", "²", "9" * 5000, "4294967295", "-1", "0:²", "0:99999999999"]
)
def test_a_name_that_the_host_does_not_know_is_an_error(become: Become, user: str) -> None:
    """STATUS-8; only images have names of users."""
    become(0)
    with pytest.raises(StartError) as caught:
        find_identity(pod_with().spec, container_of(pod_with()), user)

    assert caught.value.reason == "CreateContainerConfigError"
    assert f'"{user.removeprefix("0:")}" on this host' in caught.value.message


# ------------------------------------------------------------------ runAsNonRoot


@pytest.mark.parametrize(
    ("of_pod", "of_container", "image_user", "problem"),
    [
        ({"runAsNonRoot": True}, {}, None, "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True}, {}, "0", "container has runAsNonRoot and image will run as root"),
        ({"runAsNonRoot": True, "runAsUser": 0}, {}, None, "container's runAsUser breaks non-root policy"),
        ({}, {"runAsNonRoot": True, "runAsUser": 0}, "1000", "container's runAsUser breaks non-root policy"),
    ],
)
def test_root_is_refused_where_the_manifest_says_so(
    become: Become,
    of_pod: dict[str, Any],
    of_container: dict[str, Any],
    image_user: str | None,
    problem: str,
) -> None:
    """STATUS-8: in the kubelet's words."""
    become(0)
    with pytest.raises(StartError) as caught:
        security(pod_with(of_pod, of_container), image_user)

    assert caught.value.reason == "CreateContainerConfigError"
    assert caught.value.message == f'{problem} (pod: "p_n(u)", container: c)'
    assert not caught.value.recorded


@pytest.mark.parametrize(
    ("uid", "of_pod", "of_container", "image_user"),
    [
        (0, {"runAsNonRoot": True, "runAsUser": 1000}, {}, None),
        (0, {"runAsNonRoot": True}, {"runAsUser": 1000}, "0"),
        (0, {"runAsNonRoot": True}, {"runAsNonRoot": False}, None),
        (0, {"runAsNonRoot": True}, {}, "54321"),
        (1000, {"runAsNonRoot": True}, {}, None),
    ],
)
def test_who_is_not_root_passes(
    become: Become,
    uid: int,
    of_pod: dict[str, Any],
    of_container: dict[str, Any],
    image_user: str | None,
) -> None:
    """The effective uid counts, wherever it comes from."""
    become(uid)

    security(pod_with(of_pod, of_container), image_user)


# ------------------------------------------------------------------ what they may become


@pytest.mark.parametrize("context", [{"allowPrivilegeEscalation": False}, {"privileged": False}])
def test_no_new_privileges(become: Become, context: dict[str, Any]) -> None:
    """For everybody; it needs no privilege."""
    become(1000)
    found = security(pod_with({}, context))

    assert found.no_new_privs
    assert found.setpriv[1:] == ("--no-new-privs", "--")


def test_capabilities_are_dropped_and_taken_back(become: Become) -> None:
    """`drop: [ALL]` with `add` leaves what is added; names may have their prefix."""
    become(0)
    context = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CAP_CHOWN"]}}
    dropped = security(pod_with({}, context)).dropped

    assert dropped <= set(CAPABILITIES.split())
    assert "SYS_ADMIN" in dropped
    assert not dropped & {"NET_BIND_SERVICE", "CHOWN"}
    assert security(pod_with({}, {"capabilities": {"drop": ["NET_RAW", "unheard-of"]}})).dropped == {
        "NET_RAW"
    }


def test_users_have_no_capabilities_to_drop(become: Become) -> None:
    """So no program is started for it."""
    become(1000)

    assert not security(pod_with({}, {"capabilities": {"drop": ["ALL"]}})).needs_setpriv


def test_ids_alone_cost_no_program(become: Become) -> None:
    """They are borrowed for the spawn."""
    become(0)

    assert not security(pod_with({"runAsUser": 1000})).needs_setpriv


def test_the_words_of_setpriv() -> None:
    """Ids, groups, bounding set, no new privileges; in front of a command."""
    both = Security(User(1, 2, (3, 4)), no_new_privs=True, dropped=frozenset(("CHOWN", "KILL")))

    assert both.setpriv[1:] == (
        *("--reuid=1", "--regid=2", "--groups=3,4"),
        *("--bounding-set=-chown,-kill", "--no-new-privs", "--"),
    )
    assert "--clear-groups" in Security(User(1, 2)).setpriv


# ------------------------------------------------------------------ what cannot be had


def missing(pod: Pod, *, has_namespace: bool = False) -> list[str]:
    return [field for field, _ in shortfalls(pod.spec, container_of(pod), has_namespace=has_namespace)]


def test_what_a_user_cannot_have_is_told(become: Become) -> None:
    """LOCAL-6: never ignored without a word, never a refusal."""
    become(1000)
    pod = pod_with(
        {"runAsUser": 54321, "supplementalGroups": [1000, 4]},
        {"privileged": True, "capabilities": {"add": ["SYS_TIME"]}},
    )

    assert missing(pod) == ["runAsUser", "supplementalGroups", "privileged", "capabilities.add"]
    assert missing(pod, has_namespace=True) == ["supplementalGroups", "privileged", "capabilities.add"]


def test_what_asks_for_how_it_is_is_not_told(become: Become) -> None:
    """Own ids and groups, nothing added."""
    become(1000)
    own = {"runAsUser": 1000, "runAsGroup": 1000, "supplementalGroups": [1000], "fsGroup": 4}

    assert missing(pod_with(own, {"privileged": False, "capabilities": {"drop": ["ALL"]}})) == []


def test_root_lacks_nothing(become: Become) -> None:
    """It has every id and capability of the machine."""
    become(0)
    pod = pod_with({"runAsUser": 5, "supplementalGroups": [6]}, {"capabilities": {"add": ["SYS_TIME"]}})

    assert missing(pod) == []
