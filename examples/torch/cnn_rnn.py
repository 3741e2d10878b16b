"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import torch
from torch import nn
from torch.nn import functional as F


class CNNRNN(nn.Module):
    """Two Conv1d branches see the same sequence, a GRU reads both together.

    The branches keep the length of the sequence, so that their feature maps
    can be concatenated along the channels.
    """

    def __init__(self, in_channels=12, branch_channels=32, hidden_size=48, num_classes=6):
        super().__init__()
        # short patterns
        self.conv_short = nn.Conv1d(in_channels, branch_channels, kernel_size=3, padding=1)
        # long patterns
        self.conv_long = nn.Conv1d(in_channels, branch_channels, kernel_size=7, padding=3)
        self.pool = nn.MaxPool1d(2)
        self.gru = nn.GRU(2 * branch_channels, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        """Class scores for signals of shape (batch, in_channels, time)."""
        short = F.relu(self.conv_short(x))
        long = F.relu(self.conv_long(x))
        features = torch.cat([short, long], dim=1)
        features = self.pool(features)

        # the GRU wants (batch, time, features)
        features = features.permute(0, 2, 1)
        output, _ = self.gru(features)
        return self.fc(output[:, -1, :])


if __name__ == "__main__":
    signals = torch.randn(2, 12, 50)
    print(CNNRNN()(signals).shape)
