"""A text classifier: word embedding, LSTM, and a linear layer on the last hidden state."""

import keras
from keras import layers, ops


class PaddedEmbedding(layers.Embedding):
    """An embedding whose row ``padding_idx`` starts at zero and is not trained."""

    def __init__(self, input_dim, output_dim, padding_idx, **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx % input_dim

    def build(self, input_shape=None):
        super().build(input_shape)
        rows = ops.arange(self.input_dim)[:, None]
        table = ops.convert_to_tensor(self.embeddings)
        self.embeddings.assign(ops.where(rows == self.padding_idx, ops.zeros_like(table), table))

    def call(self, inputs):
        x = super().call(inputs)
        return ops.where((inputs == self.padding_idx)[..., None], ops.stop_gradient(x), x)


class StackedLSTM(layers.Layer):
    """Stacked, optionally bidirectional LSTM.

    Returns the output sequence and the last states (h, c), each of shape (layers * directions, batch, hidden_size).
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
            layer = layers.LSTM(
                hidden_size, use_bias=bias, return_sequences=True, return_state=True
            )
            self.layers.append(layers.Bidirectional(layer) if bidirectional else layer)
        self.dropout = layers.Dropout(dropout)

    def call(self, x, state=None):
        if not self.batch_first:
            x = ops.transpose(x, (1, 0, 2))
        directions = 2 if self.bidirectional else 1
        last = []
        for index, layer in enumerate(self.layers):
            if index > 0:
                x = self.dropout(x)
            rows = range(index * directions, (index + 1) * directions)
            initial = None if state is None else [s[row] for row in rows for s in state]
            x, *states = layer(x, initial_state=initial)
            last.extend(states)
        if not self.batch_first:
            x = ops.transpose(x, (1, 0, 2))
        return x, (ops.stack(last[0::2]), ops.stack(last[1::2]))


class LSTMClassifier(keras.Model):
    """Assigns one of ``num_classes`` labels to a sequence of word indices.

    Args:
        vocab_size: number of words, the padding word included.
        embedding_dim: size of a word vector.
        hidden_dim: size of the LSTM's state.
        num_classes: number of labels.
        num_layers: LSTMs on top of each other.
        dropout: used between the LSTM layers and before the last layer.
    """

    def __init__(
        self,
        vocab_size=5000,
        embedding_dim=50,
        hidden_dim=100,
        num_classes=4,
        num_layers=2,
        dropout=0.3,
    ):
        super().__init__()
        self.embedding = PaddedEmbedding(vocab_size, embedding_dim, padding_idx=0)
        self.lstm = StackedLSTM(
            hidden_dim, num_layers=num_layers, batch_first=True, dropout=dropout
        )
        self.dropout = layers.Dropout(dropout)
        self.fc = layers.Dense(num_classes)

    def call(self, text):
        # text: (batch, words)
        embedded = self.embedding(text)
        _, (hidden, _) = self.lstm(embedded)
        # the state of the uppermost layer after the last word
        last = self.dropout(hidden[-1])
        return self.fc(last)
