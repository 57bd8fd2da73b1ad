"""The nouns. Actions write what is desired, the reconciler writes what is observed; reads are free."""

from .access import ApiKey, Project, User
from .alerts import (
    Alert,
    AlertRule,
    AlertRuleStatus,
    AlertTransition,
    Channel,
    ChannelBreak,
    Delivery,
    DeliveryAttempt,
    Notice,
    Silence,
)
from .answers import RememberedAnswer
from .bodies import BodyKey, ReleasedText, SqlReader
from .budgets import BudgetAccount, BudgetLine, BudgetParty, BudgetSlice
from .catalog import Model, ModelVersion
from .deployments import Deployment, DeploymentStatus, Replica, ReplicaTransition
from .exports import Export
from .guard import Suspension, WatchedAct
from .identity import BrowserSession, ManagementToken, RefreshToken, ServiceAccount, SignInAttempts, UserSession
from .limits import Limit
from .nodes import Node
from .roles import RoleBinding
from .routes import Route, RouteTarget
from .usage import Usage, UsageProgress

__all__ = [
    "Alert",
    "AlertRule",
    "AlertRuleStatus",
    "AlertTransition",
    "ApiKey",
    "BodyKey",
    "BrowserSession",
    "BudgetAccount",
    "BudgetLine",
    "BudgetParty",
    "BudgetSlice",
    "Channel",
    "ChannelBreak",
    "Delivery",
    "DeliveryAttempt",
    "Deployment",
    "DeploymentStatus",
    "Export",
    "Limit",
    "ManagementToken",
    "Model",
    "ModelVersion",
    "Node",
    "Notice",
    "Project",
    "RefreshToken",
    "ReleasedText",
    "RememberedAnswer",
    "Replica",
    "ReplicaTransition",
    "RoleBinding",
    "Route",
    "RouteTarget",
    "ServiceAccount",
    "SignInAttempts",
    "Silence",
    "SqlReader",
    "Suspension",
    "Usage",
    "UsageProgress",
    "User",
    "UserSession",
    "WatchedAct",
]
