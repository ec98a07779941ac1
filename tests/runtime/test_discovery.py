"""What pods are told about Services: variables, and names for the hosts file."""

import io

import pytest

from minikubelet.api.manifest import load
from minikubelet.api.meta import ObjectMeta
from minikubelet.api.pod import Container, Pod, PodSpec
from minikubelet.runtime.services import discover, service_notices

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, tier: front}}
spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
"""
CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: c}]}
"""
STATEFUL_SET = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c}]}}
"""
INDEXED_JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  template: {spec: {subdomain: work, restartPolicy: Never, containers: [{name: c}]}}
"""


def service(name, spec, namespace="default"):
    return (
        f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )


def read(*documents):
    return load(["-"], stdin=io.StringIO("---\n".join(documents)))


def client(namespace="default", **spec):
    return Pod(ObjectMeta("client", namespace=namespace), PodSpec((Container("c"),), **spec))


def variables(*documents, pod=None):
    return discover(read(*documents)).variables(pod or client())


def names(*documents, pod=None):
    return list(discover(read(*documents)).names(pod or client()))


# ------------------------------------------------------------------ variables


def test_ENV_1_the_variables_of_a_service():
    """`envvars.FromServices`, with the address and the port that there is."""
    ports = "{name: http, port: 80, targetPort: http}, {name: adm-in, port: 9090}"
    spec = f"{{selector: {{app: web}}, ports: [{ports}]}}"

    assert variables(WEB, service("my-web", spec)) == {
        "MY_WEB_SERVICE_HOST": "127.0.0.1",
        "MY_WEB_SERVICE_PORT": "8080",
        "MY_WEB_SERVICE_PORT_HTTP": "8080",
        "MY_WEB_SERVICE_PORT_ADM_IN": "9090",
        "MY_WEB_PORT": "tcp://127.0.0.1:8080",
        "MY_WEB_PORT_80_TCP": "tcp://127.0.0.1:8080",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "8080",
        "MY_WEB_PORT_80_TCP_ADDR": "127.0.0.1",
        "MY_WEB_PORT_9090_TCP": "tcp://127.0.0.1:9090",
        "MY_WEB_PORT_9090_TCP_PROTO": "tcp",
        "MY_WEB_PORT_9090_TCP_PORT": "9090",
        "MY_WEB_PORT_9090_TCP_ADDR": "127.0.0.1",
    }


def test_the_protocol_is_told():
    found = variables(CLIENT, service("dns", "{ports: [{port: 53, protocol: UDP}]}"))

    assert found["DNS_PORT"] == "udp://127.0.0.1:53"
    assert found["DNS_PORT_53_UDP_PROTO"] == "udp"


@pytest.mark.parametrize(
    ("target", "expected"),
    [("8080", "8080"), ("http", "8080"), ("0", "80"), ("nobodys", "80")],
)
def test_the_port_is_the_one_that_pods_listen_on(target, expected):
    spec = f"{{selector: {{app: web}}, ports: [{{port: 80, targetPort: {target}}}]}}"

    assert variables(WEB, service("web", spec))["WEB_SERVICE_PORT"] == expected


def test_a_name_of_a_port_is_looked_up_in_the_pods_that_are_selected():
    spec = "{selector: {app: other}, ports: [{port: 80, targetPort: http}]}"

    assert variables(WEB, service("web", spec))["WEB_SERVICE_PORT"] == "80"


def test_services_of_other_namespaces_are_not_told():
    assert variables(CLIENT, service("web", "{ports: [{port: 80}]}", "other")) == {}
    assert variables(CLIENT, service("web", "{ports: [{port: 80}]}", "other"), pod=client("other")) != {}


def test_nothing_is_told_to_a_pod_that_wants_no_links():
    pod = client(enable_service_links=False)

    assert variables(CLIENT, service("web", "{ports: [{port: 80}]}"), pod=pod) == {}


@pytest.mark.parametrize(
    "spec",
    ["{clusterIP: None, ports: [{port: 80}]}", "{type: ExternalName, externalName: example.com}"],
)
def test_services_without_an_address_have_no_variables(spec):
    assert variables(CLIENT, service("web", spec)) == {}


def test_there_is_no_api_server_to_be_found():
    """Client libraries take KUBERNETES_SERVICE_HOST for one."""
    found = variables(CLIENT, service("web", "{ports: [{port: 80}]}"))

    assert not [name for name in found if name.startswith("KUBERNETES")]


# ------------------------------------------------------------------ names


def test_a_service_has_all_forms_of_its_name():
    assert names(CLIENT, service("web", "{ports: [{port: 80}]}")) == [
        ("web.default.svc.cluster.local", "web.default.svc", "web.default", "web")
    ]


def test_from_another_namespace_the_bare_name_means_nothing():
    assert names(CLIENT, service("web", "{ports: [{port: 80}]}", "other")) == [
        ("web.other.svc.cluster.local", "web.other.svc", "web.other")
    ]


def test_pods_of_a_stateful_set_have_names_behind_their_headless_service():
    found = names(STATEFUL_SET, service("db", "{clusterIP: None, selector: {app: db}}"))

    assert [forms[-1] for forms in found] == ["db", "db-0.db", "db-1.db"]
    assert found[1][0] == "db-0.db.default.svc.cluster.local"


def test_pods_have_no_names_behind_a_service_with_an_address_or_without_one():
    with_address = names(STATEFUL_SET, service("db", "{selector: {app: db}, ports: [{port: 1}]}"))

    assert [forms[-1] for forms in with_address] == ["db"]
    assert names(STATEFUL_SET) == []


def test_JOB_24_pods_of_an_indexed_job_have_names_too():
    found = names(INDEXED_JOB, service("work", "{clusterIP: None, selector: {job-name: work}}"))

    assert [forms[-1] for forms in found] == ["work", "work-0.work", "work-1.work"]


@pytest.mark.parametrize(
    ("spec", "knows"),
    [
        ({}, True),
        ({"dns_policy": "Default"}, False),
        ({"dns_policy": "None"}, False),
        ({"host_network": True}, False),
        ({"host_network": True, "dns_policy": "ClusterFirstWithHostNet"}, True),
    ],
)
def test_only_pods_that_use_the_dns_of_the_cluster_know_its_names(spec, knows):
    assert bool(names(CLIENT, service("web", "{ports: [{port: 80}]}"), pod=client(**spec))) is knows


@pytest.mark.parametrize(
    ("documents", "wanted"),
    [
        ((WEB, service("web", "{ports: [{port: 80}]}")), False),
        ((WEB, CLIENT), False),
        ((WEB, CLIENT, service("web", "{ports: [{port: 80}]}")), True),
        ((STATEFUL_SET, service("db", "{clusterIP: None}")), True),
        ((INDEXED_JOB, service("work", "{clusterIP: None}")), True),
        ((WEB, CLIENT, service("web", "{type: ExternalName, externalName: a.b}")), False),
    ],
)
def test_names_are_wanted_where_there_are_several_pods_and_a_service(documents, wanted):
    assert discover(read(*documents)).wants_names is wanted


# ------------------------------------------------------------------ notices


def test_what_differs_from_a_cluster_is_told():
    manifest = read(
        WEB,
        service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}"),
        service("same", "{selector: {app: web}, ports: [{port: 8080}]}"),
        service("nobody", "{selector: {app: none}, ports: [{port: 1}]}"),
        service("elsewhere", "{ports: [{port: 1}]}"),
    )

    assert [str(notice) for notice in service_notices(manifest)] == [
        "Service default/web: there is no proxy: pods are told the port that is listened on, "
        "8080 instead of 80",
        "Service default/nobody: selects no pod of this run",
    ]


def test_pods_of_jobs_are_selected_by_the_labels_that_they_will_have():
    manifest = read(INDEXED_JOB, service("work", "{clusterIP: None, selector: {job-name: work}}"))

    assert service_notices(manifest) == []
