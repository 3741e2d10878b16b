"""A classifier of texts: embeddings, recurrent layers, dense layers."""

from tensorflow import keras
from tensorflow.keras import layers


def build_classifier(vocabulary=200, length=30, units=12):
    """The network, layer by layer."""
    model = keras.Sequential()
    model.add(layers.Embedding(vocabulary, 16))
    model.add(layers.LSTM(units, return_sequences=True))
    model.add(layers.GRU(8))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model
