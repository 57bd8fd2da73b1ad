"""Publishing the gateway's tables when a message was lost or Redis was wiped."""

import logging

from celery import shared_task
from redis.exceptions import RedisError

from controlplane import publish

logger = logging.getLogger(__name__)


@shared_task
def publish_tables() -> None:
    """Routes and limits if they differ from what Redis holds; everything if Redis holds no full set."""
    try:
        if publish.published():
            publish.publish_routes()
            publish.publish_limits()
        else:
            publish.publish_all()
            logger.info("the gateway's tables were published in full")
    except RedisError as exc:
        logger.warning("the gateway's tables were not published, the next pass will: %s", exc)


@shared_task
def publish_everything() -> None:
    """Write everything anew, whatever Redis holds."""
    try:
        publish.publish_all()
    except RedisError as exc:
        logger.warning("the gateway's tables were not published, the next pass will: %s", exc)
