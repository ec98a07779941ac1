"""minikubelet: Kubernetes Pod and Job manifests as plain Linux processes."""
