"""The tasks as Transformers pipelines: one class a task."""
