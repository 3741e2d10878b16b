"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import torch
import torch.nn.functional as F
from torch import nn


class ConvBranch(nn.Module):
    """A convolution that keeps the length of the sequence."""

    def __init__(self, filters, kernel_size):
        super().__init__()
        self.conv = nn.Conv1d(12, filters, kernel_size, padding="same", bias=False)
        self.bn = nn.BatchNorm1d(filters, eps=0.001, momentum=0.01)

    def forward(self, x):
        x = self.conv(x)
        x = self.bn(x)
        return F.relu(x, inplace=True)


class CnnRnn(nn.Module):
    """Two branches see the same sequence, a GRU reads both together."""

    def __init__(self, filters=32, units=48, num_classes=6):
        super().__init__()
        self.short = ConvBranch(filters, 3)
        self.long = ConvBranch(filters, 7)
        self.state_gru = nn.GRU(2 * filters, units, batch_first=True)
        self.scores = nn.Linear(units, num_classes)

    def forward(self, signals):
        short = self.short(signals)
        long = self.long(signals)
        features = torch.cat([short, long], dim=1)
        features = F.max_pool1d(features, 2)
        # the state after the last step
        state = self.state_gru(features.permute(0, 2, 1))[0][:, -1]
        scores = self.scores(state)
        return scores
