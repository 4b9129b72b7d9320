"""What a run can be told, in the parts that its modules read."""
