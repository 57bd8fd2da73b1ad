"""Run manage.py or a module on production settings without any server: for checks that touch no data.

usage: python -m config.dry manage.py COMMAND ... | -m MODULE ...
"""

import base64
import os
import runpy
import secrets
import sys
import warnings

PRODUCTION = {
    "SECRET_KEY": secrets.token_urlsafe(64),
    "SIGNALBOX_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    "SIGNALBOX_SEAL_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    "SIGNALBOX_JWT_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    "DATABASE_URL": "postgresql://127.0.0.1:9/none",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "ALLOWED_HOSTS": "signalbox.example.com",
    "SIGNALBOX_PLAIN_HTTP": "0",
    "SIGNALBOX_HOME": "/nonexistent",
}

if __name__ == "__main__":
    os.environ.update(PRODUCTION)
    warnings.simplefilter("ignore")  # that the database is away is meant
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
