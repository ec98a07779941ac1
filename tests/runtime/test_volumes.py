"""Volumes as directories (VOL-*): what is in them, how they go, and what a container mounts of them."""

import base64
import json
import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.config import ConfigMap, Secret
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import (
    ConfigMapProjection,
    ConfigMapVolumeSource,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodSecurityContext,
    PodSpec,
    ProjectedVolumeSource,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretProjection,
    SecretVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from minikubelet.runtime.base import PrepareError, StartError
from minikubelet.runtime.environment import NodeInfo
from minikubelet.runtime.mounts import Mount
from minikubelet.runtime.removal import remove_tree
from minikubelet.runtime.volumes import container_mounts, prepare_volumes


class Configs:
    def __init__(self, *objects: ConfigMap | Secret) -> None:
        self.objects = list(objects)

    def config_map(self, namespace: str, name: str) -> ConfigMap | None:
        return next((o for o in self.objects if isinstance(o, ConfigMap) and o.metadata.name == name), None)

    def secret(self, namespace: str, name: str) -> Secret | None:
        return next((o for o in self.objects if isinstance(o, Secret) and o.metadata.name == name), None)


CONFIG_MAP = ConfigMap(ObjectMeta(name="cm"), data={"a": "A", "b": "B\n"}, binary_data={"c": b"\xff\0"})
SECRET = Secret(ObjectMeta(name="s"), data={"user": b"me", "password": b"\xfe"})


def pod_with(*volumes: Volume, containers: tuple[Container, ...] = (), fs_group: int | None = None) -> Pod:
    return Pod(
        ObjectMeta(name="web", uid="u-1", labels={"app": "x", "tier": 'q"'}),
        PodSpec(
            containers or (Container("main"),),
            volumes=volumes,
            security_context=PodSecurityContext(fs_group=fs_group),
        ),
    )


def prepare(pod: Pod, directory: Path, *objects: ConfigMap | Secret) -> dict[str, Path]:
    return prepare_volumes(pod, directory, Configs(*objects), NodeInfo("node"))


def prepare_one(volume: Volume, directory: Path, *objects: ConfigMap | Secret) -> Path:
    return prepare(pod_with(volume), directory, *objects)[volume.name]


def files_in(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def config_map_volume(**options: object) -> Volume:
    return Volume("v", config_map=ConfigMapVolumeSource("cm", **options))  # type: ignore[arg-type]


# ------------------------------------------------------------------ emptyDir


def test_vol_1_an_empty_dir_is_empty_and_writable_for_every_user(tmp_path: Path) -> None:
    place = prepare_one(Volume("v", empty_dir=EmptyDirVolumeSource()), tmp_path)

    assert tmp_path / "volumes" / "v" == place
    assert os.listdir(place) == []
    assert mode_of(place) == 0o777


def test_vol_1_preparing_again_keeps_what_containers_wrote(tmp_path: Path) -> None:
    volume = Volume("v", empty_dir=EmptyDirVolumeSource(medium="Memory"))
    (prepare_one(volume, tmp_path) / "note").write_text("kept")

    assert files_in(prepare_one(volume, tmp_path)) == {"note": b"kept"}


def test_other_users_of_the_machine_cannot_read_volumes(tmp_path: Path) -> None:
    prepare_one(Volume("v", secret=SecretVolumeSource("s")), tmp_path, SECRET)

    assert mode_of(tmp_path / "volumes") == 0o700


# ------------------------------------------------------------------ claims


def claim(name: str, **options: bool) -> Volume:
    return Volume("v", persistent_volume_claim=PersistentVolumeClaimVolumeSource(name, **options))


def test_pods_that_name_a_claim_share_a_directory_that_outlives_them(tmp_path: Path) -> None:
    first, second = tmp_path / "pod-1", tmp_path / "pod-2"
    place = prepare_one(claim("data"), first)
    (place / "row").write_text("1")

    remove_tree(first / "volumes")

    assert files_in(prepare_one(claim("data"), second)) == {"row": b"1"}
    assert mode_of(place) == 0o777
    assert os.listdir(prepare_one(claim("other"), second)) == []


def test_a_claim_is_writable_unless_it_says_otherwise(tmp_path: Path) -> None:
    container = Container("main", volume_mounts=(VolumeMount("v", "/data"),))
    for options, expected in (({}, False), ({"read_only": True}, True)):
        pod = pod_with(claim("data", **options), containers=(container,))

        (mount,) = container_mounts(pod, container, prepare(pod, tmp_path), {})

        assert mount.read_only is expected


def test_a_claim_does_not_lead_out_of_the_run_directory(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="must not"):
        prepare_one(claim("../../../x"), tmp_path)


def test_an_ephemeral_volume_is_an_empty_directory_of_the_pod(tmp_path: Path) -> None:
    place = prepare_one(Volume("v", ephemeral={"volumeClaimTemplate": {"spec": {}}}), tmp_path)

    assert tmp_path / "volumes" / "v" == place
    assert mode_of(place) == 0o777


# ------------------------------------------------------------------ configMap, secret


def test_vol_3_a_config_map_is_one_file_per_key_with_mode_0644(tmp_path: Path) -> None:
    place = prepare_one(config_map_volume(), tmp_path, CONFIG_MAP)

    assert files_in(place) == {"a": b"A", "b": b"B\n", "c": b"\xff\0"}
    assert {0o644} == {mode_of(file) for file in place.iterdir()}


def test_vol_3_items_choose_keys_paths_and_modes(tmp_path: Path) -> None:
    volume = config_map_volume(items=(KeyToPath("a", "to/a", 0o400), KeyToPath("b", "b")), default_mode=0o600)
    place = prepare_one(volume, tmp_path, CONFIG_MAP)

    assert files_in(place) == {"to/a": b"A", "b": b"B\n"}
    assert (mode_of(place / "to/a"), mode_of(place / "b")) == (0o400, 0o600)


def test_vol_3_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        place = prepare_one(config_map_volume(default_mode=0o666), tmp_path, CONFIG_MAP)
    finally:
        os.umask(old)

    assert (mode_of(place), mode_of(place / "a")) == (0o755, 0o666)


def test_vol_3_a_secret_is_its_decoded_bytes(tmp_path: Path) -> None:
    place = prepare_one(Volume("v", secret=SecretVolumeSource("s", default_mode=0o400)), tmp_path, SECRET)

    assert files_in(place) == {"user": b"me", "password": b"\xfe"}
    assert mode_of(place / "password") == 0o400


MISSING = {
    'configmap "cm" not found': config_map_volume(),
    'secret "s" not found': Volume("v", secret=SecretVolumeSource("s")),
    'configmap "pcm" not found': Volume(
        "v",
        projected=ProjectedVolumeSource((VolumeProjection(config_map=ConfigMapProjection("pcm")),)),
    ),
}


@pytest.mark.parametrize("message", MISSING)
def test_vol_3_what_is_missing_is_said_as_the_kubelet_does(message: str, tmp_path: Path) -> None:
    with pytest.raises(PrepareError) as caught:
        prepare_one(MISSING[message], tmp_path)

    assert f'MountVolume.SetUp failed for volume "v" : {message}' == str(caught.value)


MISSING_KEY = {
    "configmap references non-existent config key: x": config_map_volume(items=(KeyToPath("x", "x"),)),
    "references non-existent secret key: x": Volume(
        "v", secret=SecretVolumeSource("s", items=(KeyToPath("x", "x"),))
    ),
}


@pytest.mark.parametrize("message", MISSING_KEY)
def test_vol_3_a_missing_key_is_said_as_the_kubelet_does(message: str, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match=message):
        prepare_one(MISSING_KEY[message], tmp_path, CONFIG_MAP, SECRET)


@pytest.mark.parametrize(
    "volume",
    [
        config_map_volume(optional=True, items=(KeyToPath("x", "x"),)),
        Volume("v", secret=SecretVolumeSource("s", optional=True)),
        Volume(
            "v",
            projected=ProjectedVolumeSource((VolumeProjection(secret=SecretProjection("s", optional=True)),)),
        ),
    ],
)
@pytest.mark.parametrize("objects", [(), (CONFIG_MAP,)])
def test_vol_3_an_optional_source_may_be_missing(
    volume: Volume, objects: tuple[ConfigMap, ...], tmp_path: Path
) -> None:
    assert files_in(prepare_one(volume, tmp_path, *objects)) == {}


def test_vol_6_preparing_again_adds_what_was_missing(tmp_path: Path) -> None:
    pod = pod_with(Volume("first", empty_dir=EmptyDirVolumeSource()), config_map_volume())
    with pytest.raises(PrepareError):
        prepare(pod, tmp_path)
    (tmp_path / "volumes/first/note").touch()

    prepared = prepare(pod, tmp_path, CONFIG_MAP)

    assert os.listdir(prepared["first"]) == ["note"]
    assert {"a", "b", "c"} == set(os.listdir(prepared["v"]))


def test_vol_6_every_volume_that_fails_is_told(tmp_path: Path) -> None:
    pod = pod_with(
        Volume("one", secret=SecretVolumeSource("x")), Volume("two", secret=SecretVolumeSource("y"))
    )

    with pytest.raises(PrepareError, match=r'"one" : secret "x" not found; .*"two" : secret "y" not found'):
        prepare(pod, tmp_path)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/x", "..x", ""])
def test_a_file_never_leaves_its_volume(path: str, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="invalid path"):
        prepare_one(config_map_volume(items=(KeyToPath("a", path),)), tmp_path / "pod", CONFIG_MAP)

    assert files_in(tmp_path) == {}


@given(st.text("./ab", max_size=8))
def test_whatever_the_path_is_files_are_inside_or_refused(path: str) -> None:
    with tempfile.TemporaryDirectory() as top:
        pod_directory = Path(top, "pod")
        try:
            prepare_one(config_map_volume(items=(KeyToPath("a", path),)), pod_directory, CONFIG_MAP)
        except PrepareError:
            assert files_in(Path(top)) == {}
        else:
            assert list(files_in(pod_directory / "volumes/v").values()) == [b"A"]
            assert len(files_in(Path(top))) == 1


# ------------------------------------------------------------------ downwardAPI, projected


def test_vol_3_downward_api_files(tmp_path: Path) -> None:
    items = (
        DownwardAPIVolumeFile("name", ObjectFieldSelector("metadata.name")),
        DownwardAPIVolumeFile("labels", ObjectFieldSelector("metadata.labels"), mode=0o440),
        DownwardAPIVolumeFile(
            "cpu", resource_field_ref=ResourceFieldSelector("limits.cpu", container_name="main")
        ),
    )
    volume = Volume("v", downward_api=DownwardAPIVolumeSource(items))
    main = Container("main", resources=ResourceRequirements(limits={"cpu": "1500m"}))
    place = prepare(pod_with(volume, containers=(main,)), tmp_path)["v"]

    assert files_in(place) == {"name": b"web", "labels": b'app="x"\ntier="q\\""', "cpu": b"2"}
    assert mode_of(place / "labels") == 0o440


def test_a_downward_api_field_that_does_not_exist_blocks_the_pod(tmp_path: Path) -> None:
    items = (DownwardAPIVolumeFile("x", ObjectFieldSelector("spec.nothing")),)

    with pytest.raises(PrepareError, match=r"spec\.nothing"):
        prepare_one(Volume("v", downward_api=DownwardAPIVolumeSource(items)), tmp_path)


def test_vol_3_a_projected_volume_joins_its_sources(tmp_path: Path) -> None:
    sources = (
        VolumeProjection(config_map=ConfigMapProjection("cm", items=(KeyToPath("a", "x/a", 0o600),))),
        VolumeProjection(secret=SecretProjection("s", items=(KeyToPath("user", "x/user"),))),
        VolumeProjection(
            downward_api=DownwardAPIProjection(
                (DownwardAPIVolumeFile("ns", ObjectFieldSelector("metadata.namespace")),)
            )
        ),
    )
    volume = Volume("v", projected=ProjectedVolumeSource(sources, default_mode=0o444))
    place = prepare_one(volume, tmp_path, CONFIG_MAP, SECRET)

    assert files_in(place) == {"x/a": b"A", "x/user": b"me", "ns": b"default"}
    assert [mode_of(place / name) for name in ("x/a", "x/user", "ns")] == [0o600, 0o444, 0o444]


def test_the_volume_every_pod_of_a_cluster_has_can_be_made(tmp_path: Path) -> None:
    """`kubectl get -o yaml` gives kube-api-access-*: token, root CA and namespace."""
    sources = (
        VolumeProjection(service_account_token=ServiceAccountTokenProjection("token", "vault", 600)),
        VolumeProjection(config_map=ConfigMapProjection("kube-root-ca.crt")),
    )
    place = prepare_one(Volume("v", projected=ProjectedVolumeSource(sources)), tmp_path)
    files = files_in(place)
    header, claims, signature = files["token"].split(b".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))

    assert files["ca.crt"] == b""
    assert signature == b""
    assert decoded["sub"] == "system:serviceaccount:default:default"
    assert decoded["aud"] == ["vault"]
    assert decoded["exp"] - decoded["iat"] == 600
    assert decoded["kubernetes.io"]["pod"] == {"name": "web", "uid": "u-1"}
    assert json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4))) == {"alg": "none"}


def test_fs_group_owns_what_is_in_the_volumes(tmp_path: Path) -> None:
    group = 4242 if os.geteuid() == 0 else os.getegid()
    pod = pod_with(
        Volume("work", empty_dir=EmptyDirVolumeSource()),
        config_map_volume(default_mode=0o400),
        fs_group=group,
    )
    prepared = prepare(pod, tmp_path, CONFIG_MAP)

    assert {group} == {path.stat().st_gid for path in (prepared["work"], prepared["v"], prepared["v"] / "a")}
    assert mode_of(prepared["work"]) == 0o2777
    assert mode_of(prepared["v"] / "a") == 0o440


# ------------------------------------------------------------------ hostPath


def host_path(path: Path, kind: str = "") -> Volume:
    return Volume("h", host_path=HostPathVolumeSource(str(path), kind))


def test_vol_2_without_a_type_nothing_is_checked(tmp_path: Path) -> None:
    missing = tmp_path / "nothing/here"

    assert missing == prepare_one(host_path(missing), tmp_path / "pod")
    assert not missing.exists()


@pytest.mark.parametrize(("kind", "mode"), [("DirectoryOrCreate", 0o755), ("FileOrCreate", 0o644)])
def test_vol_2_or_create_creates(kind: str, mode: int, tmp_path: Path) -> None:
    prepare_one(host_path(tmp_path / "made", kind), tmp_path / "pod")

    assert (kind == "DirectoryOrCreate") == (tmp_path / "made").is_dir()
    assert mode == mode_of(tmp_path / "made")


@pytest.fixture
def kinds(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("content")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    return {
        "Directory": tmp_path / "directory",
        "File": tmp_path / "file",
        "Socket": tmp_path / "socket",
        "CharDevice": Path("/dev/null"),
    }


NAMES = {
    "Directory": "directory",
    "DirectoryOrCreate": "directory",
    "File": "file",
    "FileOrCreate": "file",
    "Socket": "socket file",
    "CharDevice": "character device",
    "BlockDevice": "block device",
}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("there", ["Directory", "File", "Socket", "CharDevice"])
def test_vol_2_the_type_must_fit(kind: str, there: str, kinds: dict[str, Path], tmp_path: Path) -> None:
    path = kinds[there]
    volume = host_path(path, kind)
    if kind.removesuffix("OrCreate") == there:
        assert path == prepare_one(volume, tmp_path / "pod")
        return
    with pytest.raises(PrepareError) as caught:
        prepare_one(volume, tmp_path / "pod")

    expected = f'volume "h" : hostPath type check failed: {path} is not a {NAMES[kind]}'
    assert f"MountVolume.SetUp failed for {expected}" == str(caught.value)


def test_vol_2_a_typed_path_that_is_missing_blocks_the_pod(tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="is not a directory"):
        prepare_one(host_path(tmp_path / "missing", "Directory"), tmp_path)


# ------------------------------------------------------------------ removal


def test_term_14_removal_leaves_nothing_but_the_host_path(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    pod = pod_with(Volume("v", empty_dir=EmptyDirVolumeSource()), host_path(kept))
    directory = tmp_path / "pod"
    prepare(pod, directory)

    remove_tree(directory / "volumes")
    remove_tree(directory / "volumes")

    assert os.listdir(directory) == []
    assert os.listdir(kept) == ["file"]


def test_removal_never_follows_a_symlink(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o750)
    (victim / "file").touch()
    pod = pod_with(Volume("v", empty_dir=EmptyDirVolumeSource()))
    place = prepare(pod, tmp_path / "pod")["v"]
    (place / "link").symlink_to(victim)
    (place / "dangling").symlink_to("nowhere")

    remove_tree(tmp_path / "pod" / "volumes")

    assert os.listdir(victim) == ["file"]
    assert mode_of(victim) == 0o750
    assert not (tmp_path / "pod/volumes").exists()


def test_removal_is_not_stopped_by_permissions_or_depth(tmp_path: Path) -> None:
    pod = pod_with(Volume("v", empty_dir=EmptyDirVolumeSource()))
    place = prepare(pod, tmp_path)["v"]
    (place / "locked").mkdir()
    (place / "locked/file").touch()
    (place / "locked").chmod(0)
    here = os.open(place, os.O_RDONLY)
    for _ in range(1500):  # more than the stack of Python, and more than a process may have open
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.fchmod(here, 0o555)
    os.close(here)

    remove_tree(tmp_path / "volumes")

    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------ mounts of a container


def mounts_of(
    *mounts: VolumeMount, place: Path, env: dict[str, str] | None = None, volume: Volume | None = None
) -> tuple[Mount, ...]:
    volume = volume or Volume("v", empty_dir=EmptyDirVolumeSource())
    container = Container("main", volume_mounts=mounts)
    return container_mounts(pod_with(volume, containers=(container,)), container, {"v": place}, env or {})


def test_vol_5_read_only_is_per_mount(tmp_path: Path) -> None:
    mounts = mounts_of(VolumeMount("v", "/a", read_only=True), VolumeMount("v", "/b/"), place=tmp_path)

    assert (Mount(tmp_path, "/a", True), Mount(tmp_path, "/b", False)) == mounts


def test_volumes_made_from_the_api_are_always_read_only(tmp_path: Path) -> None:
    (mount,) = mounts_of(VolumeMount("v", "/a"), place=tmp_path, volume=config_map_volume())

    assert mount.read_only


def test_parents_come_before_what_is_mounted_inside_them(tmp_path: Path) -> None:
    paths = ["/a/b/c", "/x", "/a", "/a/b"]
    mounts = mounts_of(*(VolumeMount("v", path) for path in paths), place=tmp_path)

    assert [mount.target for mount in mounts] == ["/x", "/a", "/a/b", "/a/b/c"]


def test_vol_4_a_missing_sub_path_is_made_with_the_mode_of_the_volume(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (mount,) = mounts_of(VolumeMount("v", "/a", sub_path="x/y"), place=tmp_path)

    assert tmp_path / "x/y" == mount.source
    assert [mode_of(tmp_path / "x"), mode_of(tmp_path / "x/y")] == [0o777, 0o777]


def test_vol_4_a_sub_path_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("listen 80;")
    (mount,) = mounts_of(VolumeMount("v", "/etc/nginx.conf", sub_path="nginx.conf"), place=tmp_path)

    assert tmp_path / "nginx.conf" == mount.source
    assert mount.source.is_file()


def test_vol_4_sub_path_expr_is_expanded(tmp_path: Path) -> None:
    mount = VolumeMount("v", "/a", sub_path_expr="$(POD)/logs-$$(POD)")
    (made,) = mounts_of(mount, place=tmp_path, env={"POD": "web"})

    assert tmp_path / "web/logs-$(POD)" == made.source


@pytest.mark.parametrize(
    ("expression", "env", "message"),
    [
        ("$(POD)", {}, "missing value for POD"),
        ("x$(B)$(A)", {"A": ""}, "missing value for A, B"),
        ("$(POD)", {"POD": "/etc"}, "error SubPath `/etc` must not be an absolute path"),
        ("$(POD)", {"POD": ".."}, "unable to provision SubPath `..`: must not contain '..'"),
        ("a/$(POD)", {"POD": "../../b"}, "unable to provision SubPath `a/../../b`: must not contain '..'"),
    ],
)
def test_vol_4_a_sub_path_expr_that_cannot_be_used(
    expression: str, env: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(StartError) as caught:
        mounts_of(VolumeMount("v", "/a", sub_path_expr=expression), place=tmp_path, env=env)

    assert ("CreateContainerConfigError", message) == (caught.value.reason, caught.value.message)
    assert not caught.value.recorded


@pytest.mark.parametrize("link", ["/etc", "../outside", "/nowhere/at/all"])
@pytest.mark.parametrize("sub_path", ["link", "link/deeper"])
def test_a_planted_symlink_does_not_lead_out_of_the_volume(link: str, sub_path: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    place = tmp_path / "volume"
    place.mkdir()
    (place / "link").symlink_to(link)

    with pytest.raises(StartError, match="failed to prepare subPath"):
        mounts_of(VolumeMount("v", "/a", sub_path=sub_path), place=place)
    assert os.listdir(tmp_path / "outside") == []


def test_a_symlink_inside_the_volume_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (mount,) = mounts_of(VolumeMount("v", "/a", sub_path="link/new"), place=tmp_path)

    assert tmp_path / "real/new" == mount.source
    assert mount.source.is_dir()


def test_a_host_path_without_a_type_is_made_when_it_is_mounted(tmp_path: Path) -> None:
    place = tmp_path / "new/one"
    mounts_of(VolumeMount("v", "/a"), place=place)

    assert place.is_dir()


def test_a_host_path_that_cannot_be_made_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match="failed to mkdir") as caught:
        mounts_of(VolumeMount("v", "/a"), place=tmp_path / "file/below")
    assert caught.value.reason == "CreateContainerError"


@pytest.mark.parametrize(
    "mount",
    [
        VolumeMount("other", "/a"),
        VolumeMount("v", "/"),
        VolumeMount("v", "/a", mount_propagation="Bidirectional"),
    ],
)
def test_vol_5_what_cannot_be_honoured_is_refused(mount: VolumeMount, tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        mounts_of(mount, place=tmp_path)
    assert caught.value.reason == "CreateContainerConfigError"


def test_mount_options_that_are_honoured(tmp_path: Path) -> None:
    spec = VolumeMount("v", "/a", True, recursive_read_only="Enabled", mount_propagation="HostToContainer")
    (mount,) = mounts_of(spec, place=tmp_path)

    assert Mount(tmp_path, "/a", read_only=True, recursive=True, follows_host=True) == mount
