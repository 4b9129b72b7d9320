"""Asking a model questions with known answers, and measuring what it answers with `metrics`."""
