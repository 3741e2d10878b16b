"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class StackedGRU(layers.Layer):
    """Stacked, optionally bidirectional GRU.

    Returns the output sequence and the last state of shape (layers * directions, batch, hidden_size).
    """

    def __init__(
        self,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.batch_first = batch_first
        self.bidirectional = bidirectional
        self.layers = []
        for _ in range(num_layers):
            layer = layers.GRU(hidden_size, use_bias=bias, return_sequences=True, return_state=True)
            self.layers.append(layers.Bidirectional(layer) if bidirectional else layer)
        self.dropout = layers.Dropout(dropout)

    def call(self, x, state=None):
        if not self.batch_first:
            x = tf.transpose(x, (1, 0, 2))
        directions = 2 if self.bidirectional else 1
        last = []
        for index, layer in enumerate(self.layers):
            if index > 0:
                x = self.dropout(x)
            rows = range(index * directions, (index + 1) * directions)
            initial = None if state is None else [state[row] for row in rows]
            x, *states = layer(x, initial_state=initial)
            last.extend(states)
        if not self.batch_first:
            x = tf.transpose(x, (1, 0, 2))
        return x, tf.stack(last)


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
        self.gru = StackedGRU(hidden_size, batch_first=True)
        self.fc = layers.Dense(num_classes)

    def call(self, x):
        """Class scores for signals of shape (batch, in_channels, time)."""
        short = tf.nn.relu(self.conv_short(x))
        long = tf.nn.relu(self.conv_long(x))
        features = tf.concat([short, long], axis=-1)
        features = self.pool(features)
        # the GRU wants (batch, time, features)
        output, _ = self.gru(features)
        return self.fc(output[:, -1, :])
