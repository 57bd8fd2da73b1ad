"""Alerts: scrape, evaluate, deliver. Beat's messages are hints; each tick is claimed in PostgreSQL."""

import logging

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from controlplane.database_rights import owner_alias
from monitoring import outbox, partitions, rounds, samples
from monitoring.scrape import scrape
from monitoring.targets import targets
from monitoring.ticks import claim, tick_of
from workers.schedule import EVALUATE_SECONDS, SCRAPE_SECONDS

logger = logging.getLogger(__name__)


@shared_task
def scrape_all() -> None:
    """Take one sample of all that is told, once a tick."""
    now = timezone.now()
    if claim("scrape", tick_of(now, SCRAPE_SECONDS)):
        answers = scrape(targets())
        samples.write(answers, timezone.now())


@shared_task
def evaluate_rules() -> None:
    """Judge all rules, once a tick, and send at once what it comes to."""
    done = rounds.evaluate(tick_of(timezone.now(), EVALUATE_SECONDS))
    if done and done.errors:
        logger.warning("%d rules could not be evaluated", len(done.errors))
    if done and done.notices:
        outbox.deliver()


@shared_task
def deliver_messages() -> None:
    """Send what is due: what a busy or dead worker left, and what had to wait for its robot."""
    outbox.deliver()


@shared_task
def keep_samples() -> None:
    """Make the partitions of the coming days and drop those of days long past, as the table's owner."""
    now, using = timezone.now(), owner_alias()
    partitions.ensure_partitions(now, using)
    partitions.drop_partitions(now, settings.SAMPLES_DAYS, using)
