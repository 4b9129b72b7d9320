"""Asking a model: what front ends, pipelines, annotation and evaluation have in common."""
