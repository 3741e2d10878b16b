"""Conventions of Keras, as ``keras`` and as ``tf.keras``."""
