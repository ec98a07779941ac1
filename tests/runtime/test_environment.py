"""The environment and the arguments of a container (ENV-*, PROBE-21, HOOK-8)."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    FileKeySelector,
    ObjectFieldSelector,
    Pod,
    PodSpec,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretEnvSource,
    SecretKeySelector,
    VolumeMount,
)
from minikubelet.runtime.base import StartError
from minikubelet.runtime.environment import (
    ContainerEnvironment,
    NodeInfo,
    basic_environment,
    container_argv,
    container_environment,
    expand,
    field_text,
    field_value,
    hook_exec_argv,
    hostname,
    probe_exec_argv,
    resource_value,
    this_node,
)
from minikubelet.runtime.images import STANDARD_PATH, Resolution

NODE = NodeInfo("node-1", allocatable={"cpu": 4, "memory": 2**33, "ephemeral-storage": 10**11})
HOST = {"PATH": "/bin", "HOME": "/home/me", "LANG": "C.UTF-8"}
SHELL = Resolution(("sh",), "built in")


@attrs.define
class Configs:
    """The ConfigMap `map` and the Secret `secret` of the namespace default, and nothing else."""

    data: Mapping[str, str] = attrs.Factory(dict)
    secret_data: Mapping[str, bytes] = attrs.Factory(dict)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        there = (namespace, name) == ("default", "map")
        return ConfigMap(ObjectMeta(name), self.data, {"binary": b"\xff"}) if there else None

    def secret(self, namespace: str, name: str) -> Secret | None:
        there = (namespace, name) == ("default", "secret")
        return Secret(ObjectMeta(name), self.secret_data) if there else None


def pod_of(container: Container, **spec: object) -> Pod:
    metadata = ObjectMeta(
        "web",
        uid="uid-1",
        labels={"app": "web", "a/b": "c"},
        annotations={"note": 'say "hi"\n', "other": "é"},
    )
    return Pod(metadata, PodSpec((container,), **spec))  # type: ignore[arg-type]


def environment(
    *env: EnvVar,
    env_from: tuple[EnvFromSource, ...] = (),
    data: Mapping[str, str] | None = None,
    secret: Mapping[str, bytes] | None = None,
    resolution: Resolution = SHELL,
    host: Mapping[str, str] = HOST,
) -> ContainerEnvironment:
    container = Container("c", env=env, env_from=env_from)
    configs = Configs(data or {}, secret or {})
    return container_environment(pod_of(container), container, resolution, configs, NODE, host)


def config_key(key: str, name: str = "map", optional: bool | None = None) -> EnvVarSource:
    return EnvVarSource(config_map_key_ref=ConfigMapKeySelector(key, name, optional))


def secret_key(key: str, name: str = "secret", optional: bool | None = None) -> EnvVarSource:
    return EnvVarSource(secret_key_ref=SecretKeySelector(key, name, optional))


FROM_MAP = EnvFromSource(config_map_ref=ConfigMapEnvSource("map"))
FROM_SECRET = EnvFromSource(secret_ref=SecretEnvSource("secret"))


# ------------------------------------------------------------------ ENV-1 .. ENV-3


def test_env_1_later_sources_override_earlier_ones() -> None:
    env = environment(
        EnvVar("C", "from env"),
        env_from=(FROM_MAP, FROM_SECRET),
        data={"A": "map", "B": "map", "C": "map"},
        secret={"B": b"secret", "C": b"secret"},
    )

    assert env.declared == {"A": "map", "B": "secret", "C": "from env"}


def test_env_1_the_order_of_env_from_is_that_of_the_list() -> None:
    env = environment(env_from=(FROM_SECRET, FROM_MAP), data={"A": "map"}, secret={"A": b"secret"})

    assert env["A"] == "map"


def test_env_2_the_last_duplicate_wins_and_references_see_the_one_above() -> None:
    """PITFALLS 23."""
    env = environment(EnvVar("A", "first"), EnvVar("B", "$(A)"), EnvVar("A", "second"))

    assert (env["A"], env["B"]) == ("second", "first")


def test_env_3_references_see_what_is_above_and_nothing_below() -> None:
    env = environment(
        EnvVar("EARLY", "$(LATE) $(KEY) $(NOBODY)"),
        EnvVar("LATE", "x"),
        EnvVar("SUM", "$(EARLY)+$(LATE)"),
        env_from=(FROM_MAP,),
        data={"KEY": "value"},
    )

    assert env["EARLY"] == "$(LATE) value $(NOBODY)"
    assert env["SUM"] == "$(LATE) value $(NOBODY)+x"


def test_env_3_references_do_not_see_what_the_manifest_does_not_say() -> None:
    """The kubelet knows neither the image's variables nor the runtime's."""
    env = environment(
        EnvVar("A", "$(PATH) $(HOSTNAME) $(IMAGE)"), resolution=attrs.evolve(SHELL, env={"IMAGE": "x"})
    )

    assert env["A"] == "$(PATH) $(HOSTNAME) $(IMAGE)"


# ------------------------------------------------------------------ ENV-4


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(FOO)", "foo"),
        ("$$(FOO)", "$(FOO)"),
        ("$$$(FOO)", "$foo"),
        ("$$$$(FOO)", "$$(FOO)"),
        ("a$$b", "a$b"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("$(FOO", "$(FOO"),
        ("$(FOO$$", "$(FOO$"),
        ("$()", "$()"),
        ("${FOO} $FOO $", "${FOO} $FOO $"),
        ("$(DOLLAR)(FOO)", "$(FOO)"),
        ("$($(FOO)", "$($(FOO)"),
        ("$(TWO LINES\n)", "$(TWO LINES\n)"),
        ("$(FOO)$(FOO)", "foofoo"),
        ("$(EMPTY)", ""),
    ],
)
def test_env_4_expansion(text: str, result: str) -> None:
    assert expand(text, {"FOO": "foo", "DOLLAR": "$", "EMPTY": ""}) == result


def reference_expand(text: str, lookup: Mapping[str, str]) -> str:
    """ENV-4 once more, a character at a time."""
    out, rest = "", text
    while rest:
        if rest.startswith("$$"):
            out, rest = out + "$", rest[2:]
        elif rest.startswith("$(") and ")" in rest:
            name, rest = rest[2:].split(")", 1)
            out += lookup.get(name, f"$({name})")
        else:
            out, rest = out + rest[0], rest[1:]
    return out


@given(
    st.text(st.sampled_from("$(){}AB\n")),
    st.dictionaries(st.text("AB$(", max_size=2), st.text("$()A", max_size=4)),
)
def test_env_4_expansion_equals_its_model(text: str, lookup: dict[str, str]) -> None:
    assert expand(text, lookup) == reference_expand(text, lookup)


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_env_4_doubling_every_dollar_escapes_any_text(text: str, lookup: dict[str, str]) -> None:
    assert expand(text.replace("$", "$$"), lookup) == text


@given(st.text(), st.text(st.characters(exclude_characters=")")))
def test_env_4_is_not_recursive(value: str, name: str) -> None:
    assert expand(f"$({name})", {name: value}) == value


# ------------------------------------------------------------------ ENV-5, ENV-7, ENV-8


def test_env_5_values_from_elsewhere_are_not_expanded() -> None:
    env = environment(
        EnvVar("A", "a"),
        EnvVar("FROM_KEY", value_from=config_key("KEY")),
        EnvVar("FROM_SECRET", value_from=secret_key("KEY")),
        env_from=(FROM_MAP,),
        data={"KEY": "$(A) $$"},
        secret={"KEY": b"$(A) $$"},
    )

    assert env["KEY"] == env["FROM_KEY"] == env["FROM_SECRET"] == "$(A) $$"


@pytest.mark.parametrize(
    "source",
    [
        config_key("nokey", optional=True),
        config_key("key", "nomap", optional=True),
        secret_key("nokey", optional=True),
        secret_key("key", "nosecret", optional=True),
    ],
)
def test_env_7_an_optional_variable_is_left_out(source: EnvVarSource) -> None:
    """Not set to the empty string."""
    assert "A" not in environment(EnvVar("A", value_from=source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (config_key("nokey"), "couldn't find key nokey in ConfigMap default/map"),
        (config_key("key", "nomap"), 'configmap "nomap" not found'),
        (secret_key("nokey", optional=False), "couldn't find key nokey in Secret default/secret"),
        (secret_key("key", "nosecret"), 'secret "nosecret" not found'),
        (EnvVarSource(ObjectFieldSelector("spec.hostname")), "unsupported fieldPath: spec.hostname"),
        (EnvVarSource(ObjectFieldSelector("metadata.labels")), "unsupported fieldPath: metadata.labels"),
        (
            EnvVarSource(resource_field_ref=ResourceFieldSelector("limits.cpu", "nobody")),
            "container nobody not found",
        ),
        (EnvVarSource(), "valueFrom has no source that is supported here"),
    ],
)
def test_env_7_what_is_missing_keeps_the_container_from_starting(source: EnvVarSource, message: str) -> None:
    """STATUS-9: no instance comes of it."""
    with pytest.raises(StartError) as caught:
        environment(EnvVar("A", value_from=source))

    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)
    assert not caught.value.recorded


def from_file(directory: Path, key: str, *, optional: bool = False, path: str = "vars.env") -> EnvVar:
    """A variable from a file in the volume `work`, which is this directory."""
    (directory / "vars.env").write_text("KEY='value'\nEMPTY=''\n")
    (directory / "bad.env").write_text("KEY=value\n")
    return EnvVar("A", value_from=EnvVarSource(file_key_ref=FileKeySelector("work", path, key, optional)))


def environment_with(variable: EnvVar, directory: Path) -> ContainerEnvironment:
    container = Container("c", env=(variable, EnvVar("B", "<$(A)>")))
    pod = pod_of(container)
    return container_environment(pod, container, SHELL, Configs(), NODE, HOST, volumes={"work": directory})


def test_env_16_a_variable_from_a_file(tmp_path: Path) -> None:
    env = environment_with(from_file(tmp_path, "KEY"), tmp_path)

    assert env.declared == {"A": "value", "B": "<value>"}


@pytest.mark.parametrize("key", ["NONE", "EMPTY"])
def test_env_16_a_key_may_be_optional(tmp_path: Path, key: str) -> None:
    env = environment_with(from_file(tmp_path, key, optional=True), tmp_path)

    assert env.declared == {"B": "<$(A)>"}


@pytest.mark.parametrize(
    ("path", "key", "optional", "message"),
    [
        ("vars.env", "NONE", False, 'environment variable key "NONE" not found in file "vars.env"'),
        ("vars.env", "EMPTY", False, 'environment variable key "EMPTY" not found in file "vars.env"'),
        (
            "no.env",
            "KEY",
            True,
            'couldn\'t parse env file "no.env" of volume "work": No such file or directory',
        ),
        (
            "bad.env",
            "KEY",
            True,
            'couldn\'t parse env file "bad.env" of volume "work": '
            "line 1: the value must be enclosed in single quotes",
        ),
    ],
)
def test_env_16_what_is_missing_keeps_the_container_from_starting(
    tmp_path: Path, path: str, key: str, optional: bool, message: str
) -> None:
    """STATUS-9: no instance comes of it."""
    with pytest.raises(StartError) as caught:
        environment_with(from_file(tmp_path, key, optional=optional, path=path), tmp_path)

    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)
    assert not caught.value.recorded


def test_env_7_an_empty_value_is_set_and_binary_data_never_is() -> None:
    env = environment(EnvVar("EMPTY", ""), EnvVar("BARE"), env_from=(FROM_MAP,), data={})

    assert env.declared == {"EMPTY": "", "BARE": ""}


def test_env_7_bytes_of_a_secret_reach_the_process_as_they_are() -> None:
    env = environment(EnvVar("A", value_from=secret_key("key")), secret={"key": b"\xff\xc3\xa9"})

    assert os.fsencode(env["A"]) == b"\xff\xc3\xa9"


@pytest.mark.parametrize(
    "source",
    [
        EnvFromSource(config_map_ref=ConfigMapEnvSource("nomap")),
        EnvFromSource(secret_ref=SecretEnvSource("nosecret")),
    ],
)
def test_env_8_a_missing_object_is_an_error(source: EnvFromSource) -> None:
    with pytest.raises(StartError, match=r'^(configmap "nomap"|secret "nosecret") not found$'):
        environment(env_from=(source,))


def test_env_8_an_optional_object_may_be_missing_and_a_prefix_is_put_in_front() -> None:
    env = environment(
        env_from=(
            EnvFromSource(config_map_ref=ConfigMapEnvSource("nomap", optional=True)),
            EnvFromSource(secret_ref=SecretEnvSource("nosecret", optional=True)),
            EnvFromSource("p-", ConfigMapEnvSource("map")),
            EnvFromSource("s_", secret_ref=SecretEnvSource("secret")),
        ),
        data={"data-1": "x", "a.b": "y"},
        secret={"k": b"z"},
    )

    assert env.declared == {"p-data-1": "x", "p-a.b": "y", "s_k": "z"}


# ------------------------------------------------------------------ ENV-6, PROBE-21, HOOK-8


def test_env_6_command_and_args_are_expanded_once() -> None:
    env = environment(EnvVar("A", "$$(B)"), EnvVar("B", "two words"))
    resolution = Resolution(("run", "$(A)", "$(B)", "$(NOBODY)", "$$(B)"), "mine")

    assert container_argv(Container("c"), resolution, env) == [
        "run",
        "$(B)",
        "two words",
        "$(NOBODY)",
        "$(B)",
    ]


def test_env_6_words_of_the_image_are_not_expanded() -> None:
    env = environment(EnvVar("A", "a"))
    resolution = Resolution(("$(A)", "$$", "$(A)"), "entrypoint and args", image_words=2)

    assert container_argv(Container("c"), resolution, env) == ["$(A)", "$$", "a"]


def test_env_6_only_declared_variables_are_seen() -> None:
    env = environment(EnvVar("A", "a"))

    assert container_argv(Container("c"), Resolution(("$(A)", "$(HOSTNAME)"), ""), env) == [
        "a",
        "$(HOSTNAME)",
    ]


def test_probe_21_exec_probes_see_the_real_environment() -> None:
    """The kubelet would leave the envFrom name verbatim and put nothing for the valueFrom."""
    env = environment(
        EnvVar("KEY", value_from=config_key("k")), env_from=(FROM_MAP,), data={"k": "value", "FROM": "map"}
    )

    words = probe_exec_argv(Container("c"), ("check", "$(KEY)", "$(FROM)"), SHELL, env)

    assert words == ["check", "value", "map"]


def test_hook_8_exec_hooks_are_not_expanded() -> None:
    env = environment(EnvVar("A", "a"))

    assert hook_exec_argv(Container("c"), ("echo", "$(A)", "$$"), SHELL, env) == ["echo", "$(A)", "$$"]


def test_a_path_prefix_supplies_absolute_programs_that_are_missing(tmp_path: Path) -> None:
    """It stands for the directories of the image; what a volume will bring is left alone."""
    (tmp_path / "apk").write_text("#!/bin/sh\n")
    (tmp_path / "apk").chmod(0o755)
    resolution = Resolution(("/no/sbin/apk", "add"), "", path_prefix=(str(tmp_path),))
    env = environment(resolution=resolution)
    mounted = Container("c", volume_mounts=(VolumeMount("v", "/no/sbin"),))

    assert container_argv(Container("c"), resolution, env) == [f"{tmp_path}/apk", "add"]
    assert hook_exec_argv(Container("c"), ("/no/apk",), resolution, env) == [f"{tmp_path}/apk"]
    assert container_argv(mounted, resolution, env) == ["/no/sbin/apk", "add"]
    assert hook_exec_argv(Container("c"), ("/bin/sh",), resolution, env) == ["/bin/sh"]


def test_exec_probes_of_a_stub_succeed_where_the_program_is_missing() -> None:
    stub = attrs.evolve(SHELL, is_stub=True)
    env = environment()

    assert probe_exec_argv(Container("c"), ("/no/such/program",), stub, env) == ["true"]
    assert probe_exec_argv(Container("c"), ("sh", "-c", "exit 1"), stub, env) == ["sh", "-c", "exit 1"]
    assert probe_exec_argv(Container("c"), ("/no/such/program",), SHELL, env) == ["/no/such/program"]
    mounted = Container("c", volume_mounts=(VolumeMount("v", "/no"),))
    assert probe_exec_argv(mounted, ("/no/such/program",), stub, env) == ["/no/such/program"]


# ------------------------------------------------------------------ ENV-9, downward API


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "uid-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['a/b']", "c"),
        ("metadata.annotations['note']", 'say "hi"\n'),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['absent']", ""),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", "default"),
        ("status.hostIP", "127.0.0.1"),
        ("status.hostIPs", "127.0.0.1"),
        ("status.podIP", "127.0.0.1"),
        ("status.podIPs", "127.0.0.1"),
    ],
)
def test_env_9_fields_of_the_pod(path: str, value: str) -> None:
    assert field_value(pod_of(Container("c")), path, NODE) == value


@pytest.mark.parametrize("path", ["spec.image", "metadata.labels['x", "metadata.name['x']", ""])
def test_env_9_other_fields_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="unsupported fieldPath"):
        field_value(pod_of(Container("c")), path, NODE)


def test_env_9_a_chosen_node_is_told_as_chosen() -> None:
    assert field_value(pod_of(Container("c"), node_name="other"), "spec.nodeName", NODE) == "other"


def test_downward_api_files_have_whole_maps_sorted_and_quoted() -> None:
    pod = pod_of(Container("c"))

    assert field_text(pod, "metadata.labels") == 'a/b="c"\napp="web"'
    assert field_text(pod, "metadata.annotations") == 'note="say \\"hi\\"\\n"\nother="é"'
    assert field_text(pod, "metadata.annotations['note']") == 'say "hi"\n'


def test_downward_api_quoting_is_that_of_go() -> None:
    odd = "\\\t\r\v\a\b\f\x00\x7f\x85\u200b\ue000\U0001f600\U000e0001 "
    pod = Pod(ObjectMeta(labels={"k": odd}), PodSpec(()))

    assert field_text(pod, "metadata.labels") == (
        r'k="\\\t\r\v\a\b\f\x00\x7f\u0085\u200b\ue000' + "\U0001f600" + r'\U000e0001 "'
    )


@given(st.text(st.characters(max_codepoint=0x7E, exclude_characters="\\")))
def test_downward_api_quoting_can_be_read_back(text: str) -> None:
    """But for three escapes, Go's quoting of ASCII is that of JSON."""
    quoted = field_text(Pod(ObjectMeta(labels={"k": text}), PodSpec(())), "metadata.labels").removeprefix(
        "k="
    )
    as_json = quoted.replace("\\x", "\\u00").replace("\\a", "\\u0007").replace("\\v", "\\u000b")

    assert json.loads(as_json) == text


# ------------------------------------------------------------------ ENV-10


def value_of(
    resource: str,
    divisor: str | int | None = None,
    *,
    name: str | None = None,
    of_pod: ResourceRequirements | None = None,
) -> str:
    container = Container(
        "c",
        resources=ResourceRequirements(
            limits={"cpu": "1500m", "memory": "1Gi", "hugepages-2Mi": "4Mi"}, requests={"cpu": "250m"}
        ),
    )
    bare = Container("bare", resources=ResourceRequirements(limits={"memory": 0}))
    pod = Pod(ObjectMeta("p"), PodSpec((container,), init_containers=(bare,), resources=of_pod))
    return resource_value(pod, container, ResourceFieldSelector(resource, name, divisor), NODE)


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", None, "2"),
        ("limits.cpu", "1", "2"),
        ("limits.cpu", "0", "2"),
        ("limits.cpu", "1m", "1500"),
        ("limits.memory", None, str(2**30)),
        ("limits.memory", "1Mi", "1024"),
        ("limits.memory", "1G", "2"),
        ("limits.hugepages-2Mi", "1Mi", "4"),
        ("requests.cpu", "1m", "250"),
        ("requests.cpu", None, "1"),
        ("requests.memory", "1Mi", "1024"),
        ("requests.ephemeral-storage", None, "0"),
        ("limits.ephemeral-storage", "1G", "100"),
    ],
)
def test_env_10_value_by_divisor_rounded_up(resource: str, divisor: str | None, value: str) -> None:
    assert value_of(resource, divisor) == value


def test_env_10_an_unset_limit_is_what_the_node_has() -> None:
    """A limit of zero counts as unset; requests have no such default."""
    assert value_of("limits.cpu", name="bare") == "4"
    assert value_of("limits.memory", "1Gi", name="bare") == "8"
    assert value_of("requests.cpu", name="bare") == "0"


def test_env_10_a_limit_of_the_pod_comes_before_the_node() -> None:
    of_pod = ResourceRequirements(limits={"cpu": 3})

    assert value_of("limits.cpu", name="bare", of_pod=of_pod) == "3"
    assert value_of("limits.cpu", of_pod=of_pod) == "2"


@pytest.mark.parametrize("resource", ["limits.pods", "cpu", "limits", "usage.cpu"])
def test_env_10_other_resources_are_refused(resource: str) -> None:
    with pytest.raises(ValueError, match=f"unsupported container resource: {resource}"):
        value_of(resource)


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_env_10_rounds_up_exactly(value: int, divisor: int) -> None:
    container = Container("c", resources=ResourceRequirements(limits={"memory": value, "cpu": f"{value}m"}))
    pod = pod_of(container)

    for resource, unit in (("limits.memory", str(divisor)), ("limits.cpu", f"{divisor}m")):
        times = int(resource_value(pod, container, ResourceFieldSelector(resource, None, unit), NODE))
        assert (times - 1) * divisor < value <= times * divisor


def test_env_10_the_node_is_this_machine() -> None:
    node = this_node()

    assert node.name == os.uname().nodename.lower()
    assert all(int(node.allocatable[r]) > 0 for r in ("cpu", "memory", "ephemeral-storage"))


# ------------------------------------------------------------------ ENV-13, ENV-14


def test_env_13_only_path_home_and_lang_come_from_the_host() -> None:
    basics = basic_environment({"PATH": "/mine:/bin", "HOME": "/home/me", "LANG": "C", "SECRET": "x"})

    assert basics == {
        "PATH": f"/mine:/bin:{STANDARD_PATH.removesuffix(':/bin')}",
        "HOME": "/home/me",
        "LANG": "C",
    }


def test_env_13_there_is_a_path_and_a_home_even_without_a_host_environment() -> None:
    assert basic_environment({}) == {"PATH": STANDARD_PATH, "HOME": "/"}


def test_env_13_what_the_pod_says_overrides_the_image_and_the_image_the_host() -> None:
    resolution = attrs.evolve(SHELL, env={"HOME": "/image", "LANG": "image", "HOSTNAME": "image"})

    env = environment(EnvVar("LANG", "pod"), resolution=resolution)

    assert env == {"PATH": "/bin", "HOME": "/image", "LANG": "pod", "HOSTNAME": "image"}


def test_env_13_hostname_is_the_name_of_the_pod() -> None:
    assert environment()["HOSTNAME"] == "web"


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("web", {"hostname": "job-0"}, "job-0"),
        ("web", {"host_network": True}, "node-1"),
        ("web", {"hostname_override": "db.example.com"}, "db.example.com"),
        ("web", {"subdomain": "sub"}, "web"),
        ("web", {"subdomain": "sub", "set_hostname_as_fqdn": True}, "web.sub.default.svc.cluster.local"),
        ("x" * 60 + "-.-" + "y" * 9, {}, "x" * 60),
    ],
)
def test_env_13_hostname_as_the_kubelet_makes_it(name: str, spec: dict[str, object], expected: str) -> None:
    pod = Pod(ObjectMeta(name), PodSpec((), **spec))  # type: ignore[arg-type]

    assert hostname(pod, NODE) == expected


def test_the_path_prefix_comes_first_in_whatever_path_results() -> None:
    resolution = attrs.evolve(SHELL, path_prefix=("/a", "/b"))

    assert environment(resolution=resolution)["PATH"] == "/a:/b:/bin"
    assert environment(EnvVar("PATH", "/pod"), resolution=resolution)["PATH"] == "/a:/b:/pod"
    assert environment(EnvVar("PATH", ""), resolution=resolution)["PATH"] == "/a:/b"


def test_env_14_a_change_of_the_config_map_is_seen_by_the_next_instance() -> None:
    container = Container("c", env_from=(FROM_MAP,))
    configs = Configs({"A": "old"})

    before = container_environment(pod_of(container), container, SHELL, configs, NODE, HOST)
    configs.data = {"A": "new"}
    after = container_environment(pod_of(container), container, SHELL, configs, NODE, HOST)

    assert (before["A"], after["A"]) == ("old", "new")


def test_a_nul_byte_is_a_failed_start() -> None:
    """LOCAL-3: execve cannot carry it, which a runtime finds out only when it starts the container."""
    with pytest.raises(StartError) as caught:
        environment(EnvVar("A", value_from=secret_key("k")), secret={"k": b"a\0b"})

    assert (caught.value.reason, caught.value.recorded) == ("RunContainerError", True)
