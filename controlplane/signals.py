"""Sent after a commit that changed what is desired; the workers listen."""

from django.dispatch import Signal

desired_changed = Signal()
"""keyword argument `deployment_id`: the UUID of the deployment to reconcile"""
