"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import keras
from keras import layers


def conv_branch(x, filters, kernel_size):
    """A convolution that keeps the length of the sequence."""
    x = layers.Conv1D(filters, kernel_size, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x)


def cnn_rnn(steps=25, channels=12, filters=32, units=48, num_classes=6):
    """Two branches see the same sequence, a GRU reads both together."""
    signals = keras.Input(shape=(steps, channels), name="signals")

    short = conv_branch(signals, filters, 3)
    long = conv_branch(signals, filters, 7)
    features = layers.Concatenate()([short, long])
    features = layers.MaxPooling1D(2)(features)

    # the state after the last step
    state = layers.GRU(units)(features)
    scores = layers.Dense(num_classes, name="scores")(state)
    return keras.Model(signals, scores)


if __name__ == "__main__":
    cnn_rnn().summary()
