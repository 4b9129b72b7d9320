"""What the tests need to run the oracle: a folder of numbers that the released code computed."""
