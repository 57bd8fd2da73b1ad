"""``python -m inference``: the parent that binds the port, keeps the workers alive and answers the operator's port."""

import logging
import os
import shutil
import tempfile

from inference.config import Config
from inference.listen import bind


def main() -> None:
    """Run until SIGTERM or SIGINT; then the workers finish their streams and everything ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = Config.from_env()
    directory = tempfile.mkdtemp(prefix="signalbox-gateway-")
    # prometheus_client looks at it when it is imported, here and in the workers that inherit it.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        from inference import supervisor  # noqa: PLC0415

        with (
            bind(config.bind, config.port, "The gateway") as listener,
            bind(config.bind, config.metrics_port, "The gateway's metrics") as operator,
        ):
            supervisor.run(config, listener, operator, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
