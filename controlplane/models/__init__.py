"""The nouns. Actions write what is desired, the reconciler writes what is observed; reads are free."""

from .access import ApiKey, Project, User
from .answers import RememberedAnswer
from .budgets import BudgetAccount, BudgetLine, BudgetParty, BudgetSlice
from .catalog import Model, ModelVersion
from .deployments import Deployment, DeploymentStatus, Replica, ReplicaTransition
from .identity import BrowserSession, ManagementToken, RefreshToken, ServiceAccount, SignInAttempts, UserSession
from .limits import Limit
from .roles import RoleBinding
from .routes import Route, RouteTarget

__all__ = [
    "ApiKey",
    "BrowserSession",
    "BudgetAccount",
    "BudgetLine",
    "BudgetParty",
    "BudgetSlice",
    "Deployment",
    "DeploymentStatus",
    "Limit",
    "ManagementToken",
    "Model",
    "ModelVersion",
    "Project",
    "RefreshToken",
    "RememberedAnswer",
    "Replica",
    "ReplicaTransition",
    "RoleBinding",
    "Route",
    "RouteTarget",
    "ServiceAccount",
    "SignInAttempts",
    "User",
    "UserSession",
]
