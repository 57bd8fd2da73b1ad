"""Whoever sends a message sends it to our broker, the console and commands included; only workers see all projects."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASK = """
import {module}
import django
django.setup()
from celery import current_app
from controlplane.access import scope
from workers.tasks.reconcile import reconcile_deployment
print(current_app.main, reconcile_deployment.app.conf.broker_url.split(":")[0], scope._Process.sees_all)
"""


def ask(module: str) -> str:
    code = ASK.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_console_sends_to_our_broker_and_sees_what_each_request_may() -> None:
    main, scheme, sees_all = ask("config.asgi").split()
    assert (main, sees_all) == ("signalbox", "False")
    assert scheme in {"redis+socket", "redis", "rediss"}


def test_broker_keeps_the_database_of_its_url() -> None:
    from config.databases import celery_broker

    assert celery_broker("unix:///run/v.sock?db=8") == "redis+socket:///run/v.sock?virtual_host=8"
    assert celery_broker("unix:///run/v.sock") == "redis+socket:///run/v.sock"
