"""netferry migrates neural-network source code between deep-learning frameworks."""
