"""A text classifier: word embedding, two LSTMs of which one reads both ways, and a small classifier."""

import keras
from keras import layers


class LSTMClassifier(keras.Model):
    """Assigns one of ``num_classes`` labels to a sequence of word indices.

    Args:
        vocab_size: number of words.
        embedding_dim: size of a word vector.
        units: size of each LSTM's state.
        num_classes: number of labels.
        dropout: share of features that is dropped before the last layer.
    """

    def __init__(self, vocab_size=5000, embedding_dim=50, units=64, num_classes=4, dropout=0.3, **kwargs):
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocab_size, embedding_dim)
        self.encoder = layers.Bidirectional(layers.LSTM(units, return_sequences=True))
        self.reader = layers.LSTM(units)
        self.dropout = layers.Dropout(dropout)
        self.hidden = layers.Dense(units, activation="relu")
        self.classifier = layers.Dense(num_classes)

    def call(self, text, training=None):
        # text: (batch, words)
        x = self.embedding(text)
        x = self.encoder(x)
        # only the state after the last word is kept
        x = self.reader(x)
        x = self.dropout(x, training=training)
        return self.classifier(self.hidden(x))


if __name__ == "__main__":
    network = LSTMClassifier()
    network.build((None, 20))
    network.summary()
