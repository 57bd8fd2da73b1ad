from tests.workers.conftest import make_backend, replicas_dir

__all__ = ["make_backend", "replicas_dir"]
