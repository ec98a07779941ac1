"""The text of a pod's own /etc/hosts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, HostAlias, Pod, PodSpec
from minikubelet.runtime.hosts import has_own_hosts, hosts_text, write_hosts

HOST = """\
127.0.0.1 localhost
::1 localhost ip6-localhost

10.0.0.1 build db  # the old one
# a remark about db
"""


def pod(**spec):
    return Pod(ObjectMeta("web-0", namespace="shop"), PodSpec((Container("c"),), **spec))


def look_up(text):
    """Name to its addresses, in the order of the file."""
    found = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found.setdefault(name, []).append(address)
    return found


def test_the_lines_of_the_host_stay_and_the_pod_is_added():
    assert hosts_text(pod(), "web-0", HOST, ()) == (
        "# Hosts file of pod shop/web-0.\n" + HOST + "127.0.0.1\tweb-0\n"
    )


def test_with_a_subdomain_the_full_name_comes_first():
    text = hosts_text(pod(subdomain="web"), "web-0", "", ())

    assert text.splitlines()[1] == "127.0.0.1\tweb-0.web.shop.svc.cluster.local\tweb-0"


def test_a_pod_on_the_network_of_the_host_has_the_name_of_the_host():
    assert "web-0" not in look_up(hosts_text(pod(host_network=True), "web-0", HOST, ()))


def test_host_aliases_keep_their_order_one_line_each():
    aliases = (HostAlias("10.1.2.3", ("foo.remote", "bar.remote")), HostAlias("::2", ("foo.remote",)))
    text = hosts_text(pod(host_aliases=aliases), "web-0", "", ())

    assert text.splitlines()[2:] == [
        "# Entries added by HostAliases.",
        "10.1.2.3\tfoo.remote\tbar.remote",
        "::2\tfoo.remote",
    ]


def test_what_the_run_knows_better_is_taken_out_of_the_lines_of_the_host():
    found = look_up(hosts_text(pod(), "web-0", HOST, [("db.shop", "db")]))

    assert found["db"] == ["127.0.0.1"]
    assert found["build"] == ["10.0.0.1"]


def test_a_host_alias_wins_over_a_service():
    """In a cluster the hosts file is asked before DNS."""
    aliases = (HostAlias("10.9.9.9", ("db",)),)
    found = look_up(hosts_text(pod(host_aliases=aliases), "web-0", HOST, [("db.shop", "db")]))

    assert found["db"] == ["10.9.9.9"]
    assert found["db.shop"] == ["127.0.0.1"]


def test_localhost_is_never_lost():
    aliases = (HostAlias("10.9.9.9", ("localhost",)),)

    assert look_up(hosts_text(pod(host_aliases=aliases), "web-0", HOST, ()))["localhost"][0] == "127.0.0.1"


NAMES = st.text("abc.", min_size=1, max_size=3).filter(lambda name: name.strip("."))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["10.0.0.1", "::3"]), st.lists(NAMES, max_size=3)), max_size=4),
    st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple), max_size=4),
)
def test_every_name_of_the_run_leads_to_this_host_and_to_nothing_else(host, names):
    text = "".join(f"{address} {' '.join(listed)}\n" for address, listed in host)
    found = look_up(hosts_text(pod(), "web-0", text, names))

    assert all(found[name] == ["127.0.0.1"] for listed in names for name in listed)
    known = {name for listed in names for name in listed}
    assert all(address in found[name] for address, listed in host for name in listed if name not in known)


def test_a_container_that_mounts_its_own_file_keeps_it():
    assert has_own_hosts(["/data", "/etc/hosts"])
    assert has_own_hosts(["/etc"])
    assert not has_own_hosts(["/etc/hosts.d", "/data"])


def test_the_file_is_changed_in_place_and_everybody_may_read_it(tmp_path):
    """Containers that have it mounted see the inode, not the name."""
    file = tmp_path / "hosts"
    write_hosts(file, pod(), "web-0", ())
    inode = file.stat().st_ino
    write_hosts(file, pod(), "web-0", [("db",)])

    assert file.stat().st_ino == inode
    assert file.stat().st_mode & 0o777 == 0o644
    assert look_up(file.read_text())["db"] == ["127.0.0.1"]
