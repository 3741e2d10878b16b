"""Runs the source once on abstract inputs and notes what every node of it did."""
