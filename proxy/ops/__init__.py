"""Leaves: what operators see. Nothing here decides anything."""
