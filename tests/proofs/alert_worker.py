"""A worker of alerts that lives until it is killed: it evaluates the next tick and delivers what is due, over and over.

usage: python -m tests.proofs.alert_worker DATABASE_NAME HOST:PORT

Starting Python takes longer than most of these workers live, so the program forks one for each first tick that it reads
from standard input, and prints its process id. Nothing of the database's or the robot's is open before the fork.
"""

import os
import signal
import sys
from datetime import datetime, timedelta

import django


def main(database: str, robot: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    settings.ROBOT_HOSTS = {"dingtalk": [robot], "wecom": [robot]}
    django.setup()
    from monitoring import outbox, rounds  # noqa: F401 - here once, not in each worker

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the killed ones are nobody's to wait for
    for first in sys.stdin:
        if not (child := os.fork()):
            work(datetime.fromisoformat(first.strip()))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def work(at: datetime) -> None:
    """Until it is killed."""
    from controlplane.access import scope
    from monitoring import outbox, rounds

    scope.see_all()
    outbox.A_MINUTE = 1_000_000  # what is proven here is that nothing is lost, however fast
    outbox.FIRST_RETRY = outbox.LONGEST_RETRY = 0.05
    while True:
        rounds.evaluate(at)
        outbox.deliver(seconds=5, lease=1.0)
        at += timedelta(seconds=15)


if __name__ == "__main__":
    main(*sys.argv[1:])
