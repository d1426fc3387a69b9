"""Sampling: noise, schedules, samplers and guidance over any network. Knows no model files."""
