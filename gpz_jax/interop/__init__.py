"""Imports weights that other libraries trained."""
