"""Keras networks as they are usually written, to be carried to other frameworks."""
