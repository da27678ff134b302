"""Machines of Cluster API together with their nodes: one takes a trust set over SSH, and that is recorded."""
