"""Kubernetes Pod and Job manifests as plain Linux processes, with the kubelet's lifecycle.

The public names; each is loaded when it is first used, since start-up time is a feature.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minikubelet.api.config import ConfigMap, Secret
    from minikubelet.api.errors import FieldError, ManifestError
    from minikubelet.api.manifest import Manifest, load
    from minikubelet.api.meta import ObjectMeta
    from minikubelet.invariants.watch import InvariantViolated
    from minikubelet.kubelet.kubelet import Kubelet, PodEnded
    from minikubelet.lifecycle.settings import LifecycleSettings
    from minikubelet.session import LocalKubelet, open_kubelet

__version__ = "0.1.0"

__all__ = [
    "load",
    "open_kubelet",
    "Manifest",
    "Kubelet",
    "LocalKubelet",
    "ConfigMap",
    "Secret",
    "ObjectMeta",
    "LifecycleSettings",
    "ManifestError",
    "FieldError",
    "PodEnded",
    "InvariantViolated",
]

_HOME = {
    "load": "minikubelet.api.manifest",
    "Manifest": "minikubelet.api.manifest",
    "FieldError": "minikubelet.api.errors",
    "ManifestError": "minikubelet.api.errors",
    "Kubelet": "minikubelet.kubelet.kubelet",
    "PodEnded": "minikubelet.kubelet.kubelet",
    "LocalKubelet": "minikubelet.session",
    "ConfigMap": "minikubelet.api.config",
    "Secret": "minikubelet.api.config",
    "ObjectMeta": "minikubelet.api.meta",
    "open_kubelet": "minikubelet.session",
    "LifecycleSettings": "minikubelet.lifecycle.settings",
    "InvariantViolated": "minikubelet.invariants.watch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
