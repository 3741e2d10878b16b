"""A text classifier: word embedding, LSTM, and a linear layer on the last hidden state."""

import torch
import torch.nn as nn


class LSTMClassifier(nn.Module):
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
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.lstm = nn.LSTM(
            embedding_dim,
            hidden_dim,
            num_layers=num_layers,
            batch_first=True,
            dropout=dropout,
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_dim, num_classes)

    def forward(self, text):
        # text: (batch, words)
        embedded = self.embedding(text)
        _, (hidden, _) = self.lstm(embedded)
        # the state of the uppermost layer after the last word
        last = self.dropout(hidden[-1])
        return self.fc(last)


if __name__ == "__main__":
    model = LSTMClassifier()
    print(model(torch.randint(0, 5000, (3, 20))).shape)
