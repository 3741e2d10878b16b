"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class CNNRNN(keras.Model):
    """Two Conv1d branches see the same sequence, a GRU reads both together.

    The branches keep the length of the sequence, so that their feature maps
    can be concatenated along the channels.
    """

    def __init__(self, in_channels=12, branch_channels=32, hidden_size=48, num_classes=6):
        super().__init__()
        # short patterns
        self.conv_short = layers.Conv1D(branch_channels, 3, padding="same")
        # long patterns
        self.conv_long = layers.Conv1D(branch_channels, 7, padding="same")
        self.pool = layers.MaxPooling1D()
        self.gru = layers.GRU(hidden_size)
        self.fc = layers.Dense(num_classes)

    def call(self, x):
        """Class scores for signals of shape (batch, in_channels, time)."""
        short = tf.nn.relu(self.conv_short(x))
        long = tf.nn.relu(self.conv_long(x))
        features = tf.concat([short, long], axis=-1)
        features = self.pool(features)
        # the GRU wants (batch, time, features)
        output = self.gru(features)
        return self.fc(output)
