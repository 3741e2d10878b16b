"""A text classifier: word embedding, two LSTMs of which one reads both ways, and a small classifier."""

import torch
from torch import nn


class BidirectionalLSTM(nn.LSTM):
    """An LSTM in both directions over (batch, time, features): its last outputs, or all with ``return_sequences``."""

    def __init__(
        self, input_size, hidden_size, bias=True, return_sequences=False, return_state=False, merge_mode="concat"
    ):
        super().__init__(input_size, hidden_size, bias=bias, batch_first=True, bidirectional=True)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.merge_mode = merge_mode

    def forward(self, x):
        outputs, (h, c) = super().forward(x)
        ahead, back = outputs.chunk(2, dim=-1)
        if not self.return_sequences:
            ahead, back = ahead[:, -1], back[:, 0]
        result = self.merge(ahead, back)
        return (result, h[0], c[0], h[1], c[1]) if self.return_state else result

    def merge(self, ahead, back):
        if self.merge_mode == "concat":
            return torch.cat([ahead, back], dim=-1)
        if self.merge_mode == "mul":
            return ahead * back
        return ahead + back if self.merge_mode == "sum" else (ahead + back) / 2


class LSTMClassifier(nn.Module):
    """Assigns one of ``num_classes`` labels to a sequence of word indices.

    Args:
        vocab_size: number of words.
        embedding_dim: size of a word vector.
        units: size of each LSTM's state.
        num_classes: number of labels.
        dropout: share of features that is dropped before the last layer.
    """

    def __init__(self, vocab_size=5000, embedding_dim=50, units=64, num_classes=4, dropout=0.3):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.encoder = BidirectionalLSTM(embedding_dim, units, return_sequences=True)
        self.reader = nn.LSTM(2 * units, units, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Sequential(nn.Linear(units, units), nn.ReLU())
        self.classifier = nn.Linear(units, num_classes)

    def forward(self, text):
        # text: (batch, words)
        x = self.embedding(text)
        x = self.encoder(x)
        # only the state after the last word is kept
        x = self.reader(x)[0][:, -1]
        x = self.dropout(x)
        return self.classifier(self.hidden(x))
