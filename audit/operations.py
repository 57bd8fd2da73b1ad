"""The registered names of what can happen. An unknown name fails at once, so the register's vocabulary stays known."""

from enum import StrEnum


class Operation(StrEnum):
    """``noun.verb in the past``; users filter the register by these."""

    # inference (written by the gateway)
    INFERENCE_CHAT = "inference.chat"
    INFERENCE_COMPLETION = "inference.completion"
    INFERENCE_RESPONSE = "inference.response"
    INFERENCE_MESSAGE = "inference.message"
    INFERENCE_COUNT_TOKENS = "inference.count_tokens"
    INFERENCE_EMBEDDING = "inference.embedding"
    INFERENCE_RERANK = "inference.rerank"
    INFERENCE_SCORE = "inference.score"
    INFERENCE_TOKENIZE = "inference.tokenize"
    INFERENCE_DETOKENIZE = "inference.detokenize"
    REGISTER_ROW_REFUSED = "register.row_refused"
    # people and access
    USER_CREATED = "user.created"
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - a name, not a password
    USER_SIGNED_IN = "user.signed_in"
    USER_SIGN_IN_FAILED = "user.sign_in_failed"
    USER_SIGNED_OUT = "user.signed_out"
    USER_LOCKED_OUT = "user.locked_out"
    USER_UNLOCKED = "user.unlocked"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    SESSION_ENDED = "session.ended"
    SESSION_TOKEN_REUSED = "session.token_reused"  # noqa: S105
    SERVICE_ACCOUNT_CREATED = "service_account.created"
    SERVICE_ACCOUNT_CHANGED = "service_account.changed"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_ROTATED = "token.rotated"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    MASTER_KEY_ROTATED = "master_key.rotated"
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    PROJECT_CREATED = "project.created"
    PROJECT_CHANGED = "project.changed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_CHANGED = "api_key.changed"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    LIMIT_CHANGED = "limit.changed"
    LIMIT_REMOVED = "limit.removed"
    BODY_READ = "body.read"
    BODIES_ERASED = "body.erased"
    BODIES_DROPPED = "body.dropped"
    BODIES_RELEASED = "body.released"
    SQL_READER_ADMITTED = "sql_reader.admitted"
    SQL_READER_DISMISSED = "sql_reader.dismissed"
    # catalogue
    MODEL_CREATED = "model.created"
    VERSION_CREATED = "version.created"
    VERSION_PRICED = "version.priced"
    VERSION_RETIRED = "version.retired"
    # deployments
    DEPLOYMENT_CREATED = "deployment.created"
    DEPLOYMENT_CHANGED = "deployment.changed"
    DEPLOYMENT_SCALED = "deployment.scaled"
    DEPLOYMENT_DELETED = "deployment.deleted"
    REPLICA_STATE_CHANGED = "replica.state_changed"
    # routes
    ROUTE_CREATED = "route.created"
    ROUTE_CHANGED = "route.changed"
    ROUTE_DELETED = "route.deleted"
    # the register itself
    REGISTER_GAP_FOUND = "register.gap_found"
    REGISTER_VERIFICATION_FAILED = "register.verification_failed"
    REGISTER_MONTH_RETIRED = "register.month_retired"
    REGISTER_HOLD_PLACED = "register.hold_placed"
    REGISTER_MONTH_RETIREMENT_ORDERED = "register.month_retirement_ordered"
    REGISTER_HOLD_LIFTED = "register.hold_lifted"
    # alerts
    ALERT_RULE_CREATED = "alert_rule.created"
    ALERT_RULE_CHANGED = "alert_rule.changed"
    ALERT_RULE_DELETED = "alert_rule.deleted"
    ALERT_ACKNOWLEDGED = "alert.acknowledged"
    SILENCE_CREATED = "silence.created"
    SILENCE_ENDED = "silence.ended"
    CHANNEL_CREATED = "channel.created"
    CHANNEL_CHANGED = "channel.changed"
    CHANNEL_TESTED = "channel.tested"
    CHANNEL_DELETED = "channel.deleted"
    # the register itself
    EXPORT_REQUESTED = "export.requested"
    EXPORT_FINISHED = "export.finished"
    EXPORT_CANCELLED = "export.cancelled"
    EXPORT_DOWNLOADED = "export.downloaded"
    EXPORT_FAILED = "export.failed"
    ACTOR_SUSPENDED = "actor.suspended"
    SUSPENSION_LIFTED = "suspension.lifted"
