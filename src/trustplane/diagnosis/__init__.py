"""Diagnosis of failed image pulls: parse the kubelet's message layer by layer, and find the causes that fit. Pure."""
