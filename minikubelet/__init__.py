"""Kubernetes Pod and Job manifests as plain Linux processes, with the kubelet's lifecycle.

The public names; each is loaded when it is first used, since start-up time is a feature.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minikubelet.api.errors import FieldError, ManifestError
    from minikubelet.api.manifest import Manifest, load
    from minikubelet.kubelet.kubelet import Kubelet, PodEnded
    from minikubelet.kubelet.session import open_kubelet
    from minikubelet.lifecycle.settings import LifecycleSettings

__version__ = "0.1.0"

__all__ = [
    "load",
    "open_kubelet",
    "Manifest",
    "Kubelet",
    "LifecycleSettings",
    "ManifestError",
    "FieldError",
    "PodEnded",
]

_HOME = {
    "load": "minikubelet.api.manifest",
    "Manifest": "minikubelet.api.manifest",
    "FieldError": "minikubelet.api.errors",
    "ManifestError": "minikubelet.api.errors",
    "Kubelet": "minikubelet.kubelet.kubelet",
    "PodEnded": "minikubelet.kubelet.kubelet",
    "open_kubelet": "minikubelet.kubelet.session",
    "LifecycleSettings": "minikubelet.lifecycle.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
