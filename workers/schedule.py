"""When the workers do what by themselves. Beat only sends messages; a message that waits too long is dropped."""

from typing import Any

from celery.schedules import crontab

RECONCILE_SECONDS = 2.0
PUBLISH_SECONDS = 5.0
PUBLISH_ALL_SECONDS = 300.0
KEY_USAGE_SECONDS = 60.0
VERIFY_SECONDS = 60.0
RETENTION_SECONDS = 300.0
EXPORT_SECONDS = 3.0
NODE_SECONDS = 15.0
SCRAPE_SECONDS = 15.0
EVALUATE_SECONDS = 15.0
DELIVER_SECONDS = 2.0
USAGE_SECONDS = 30.0


def _every(seconds: float, task: str) -> dict[str, Any]:
    """A message expires when the next one is due, so a slow pass is never followed by a pile of others."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


SCHEDULE: dict[str, dict[str, Any]] = {
    "reconcile": _every(RECONCILE_SECONDS, "workers.tasks.reconcile.reconcile_all"),
    "publish": _every(PUBLISH_SECONDS, "workers.tasks.publish.publish_tables"),
    "publish-all": _every(PUBLISH_ALL_SECONDS, "workers.tasks.publish.publish_everything"),
    "key-usage": _every(KEY_USAGE_SECONDS, "workers.tasks.key_usage.write_key_usage"),
    "node": _every(NODE_SECONDS, "workers.tasks.nodes.write_node"),
    "exports": _every(EXPORT_SECONDS, "workers.tasks.exports.write_exports"),
    "old-exports": _every(300.0, "workers.tasks.exports.delete_exports"),
    "scrape": _every(SCRAPE_SECONDS, "workers.tasks.alerts.scrape_all"),
    "evaluate": _every(EVALUATE_SECONDS, "workers.tasks.alerts.evaluate_rules"),
    "deliver": _every(DELIVER_SECONDS, "workers.tasks.alerts.deliver_messages"),
    "samples": {"task": "workers.tasks.alerts.keep_samples", "schedule": crontab(minute="47")},
    "usage": _every(USAGE_SECONDS, "workers.tasks.usage.roll_up"),
    "forget-acts": {"task": "workers.tasks.guard.forget_acts", "schedule": crontab(minute="41")},
    "forget-answers": {"task": "workers.tasks.answers.forget_answers", "schedule": crontab(minute="37")},
    "verify-register": _every(VERIFY_SECONDS, "workers.tasks.register.verify_register"),
    "partitions": {"task": "workers.tasks.register.make_partitions", "schedule": crontab(hour="2", minute="17")},
    "retention": _every(RETENTION_SECONDS, "workers.tasks.register.retire_months"),
    "old-bodies": {"task": "workers.tasks.register.drop_bodies", "schedule": crontab(hour="3", minute="17")},
}
