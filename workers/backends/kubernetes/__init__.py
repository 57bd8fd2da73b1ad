"""Engines as pods: one Deployment of one pod for each replica, so that each can be drained and replaced by itself."""
