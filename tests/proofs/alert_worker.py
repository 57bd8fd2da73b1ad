"""A worker of alerts that lives until it is killed: it evaluates the next tick and delivers what is due, over and over.

usage: python -m tests.proofs.alert_worker DATABASE_NAME HOST:PORT FIRST_TICK
"""

import os
import sys
from datetime import datetime, timedelta

import django


def main(database: str, robot: str, first: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    settings.ROBOT_HOSTS = {"dingtalk": [robot], "wecom": [robot]}
    django.setup()
    from controlplane.access import scope
    from monitoring import outbox, rounds

    scope.see_all()
    outbox.A_MINUTE = 1_000_000  # what is proven here is that nothing is lost, however fast
    at = datetime.fromisoformat(first)
    outbox.FIRST_RETRY = outbox.LONGEST_RETRY = 0.05
    sys.stdout.write("up\n")
    sys.stdout.flush()
    while True:
        rounds.evaluate(at)
        outbox.deliver(seconds=5, lease=1.0)
        at += timedelta(seconds=15)


if __name__ == "__main__":
    main(*sys.argv[1:])
