"""Conventions of PyTorch."""
