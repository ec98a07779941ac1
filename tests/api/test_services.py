"""Services as they are read and refused."""

import io

import pytest

from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import load

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: c}]}
"""


def service(spec, name="web"):
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def read(spec):
    (loaded,) = load(["-"], stdin=io.StringIO(f"{POD}---\n{service(spec)}")).services
    return loaded.obj


def faults(spec, name="web"):
    with pytest.raises(ManifestError) as caught:
        load(["-"], stdin=io.StringIO(f"{POD}---\n{service(spec, name)}"))
    return [(error.path, error.message.split(":")[0]) for error in caught.value.errors]


def test_what_is_not_said_is_defaulted():
    spec = read('{type: "", ports: [{port: 80, protocol: ""}]}').spec

    assert (spec.type, spec.session_affinity, spec.ports[0].protocol) == ("ClusterIP", "None", "TCP")
    assert not spec.is_headless


def test_headless_and_external_services():
    assert read("{clusterIP: None}").spec.is_headless
    assert read("{type: ExternalName, externalName: example.com.}").spec.is_external


def test_services_alone_are_nothing_to_run():
    with pytest.raises(ManifestError, match="nothing to run"):
        load(["-"], stdin=io.StringIO(service("{ports: [{port: 80}]}")))


@pytest.mark.parametrize(
    ("spec", "path", "word"),
    [
        ("{}", "spec.ports", "Required value"),
        ("{ports: [{port: 0}]}", "spec.ports[0].port", "Invalid value"),
        ("{ports: [{port: 80, targetPort: 65536}]}", "spec.ports[0].targetPort", "Invalid value"),
        ("{ports: [{port: 80, targetPort: no_name}]}", "spec.ports[0].targetPort", "Invalid value"),
        ("{ports: [{port: 80, protocol: HTTP}]}", "spec.ports[0].protocol", "Unsupported value"),
        ("{ports: [{port: 80, name: a}, {port: 81}]}", "spec.ports[1].name", "Required value"),
        ("{ports: [{port: 80, name: a}, {port: 81, name: a}]}", "spec.ports[1].name", "Duplicate value"),
        ("{ports: [{port: 80, name: A}]}", "spec.ports[0].name", "Invalid value"),
        ("{type: Proxy, ports: [{port: 80}]}", "spec.type", "Unsupported value"),
        ("{sessionAffinity: Cookie, ports: [{port: 80}]}", "spec.sessionAffinity", "Unsupported value"),
        ("{type: ExternalName}", "spec.externalName", "Required value"),
        ("{type: ExternalName, externalName: a_b}", "spec.externalName", "Invalid value"),
        ("{type: ExternalName, externalName: a, clusterIP: None}", "spec.clusterIP", "Forbidden"),
        ("{selector: {-: x}, ports: [{port: 80}]}", "spec.selector", "Invalid value"),
    ],
)
def test_what_is_refused(spec, path, word):
    assert faults(spec) == [(path, word)]


def test_a_name_is_a_dns_label():
    assert faults("{ports: [{port: 80}]}", "a.b") == [("metadata.name", "Invalid value")]


def test_what_needs_a_proxy_is_told():
    text = f"{POD}---\n{service('{type: NodePort, ports: [{port: 80, nodePort: 30080}]}')}"
    (notice,) = load(["-"], stdin=io.StringIO(text)).notices

    assert str(notice) == "Service default/web: ports.nodePort ignored: there is no proxy"
