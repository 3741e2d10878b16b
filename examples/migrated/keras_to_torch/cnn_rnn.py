"""A CNN-RNN for sequences: two convolutions of different width side by side, then a GRU."""

import torch
import torch.nn.functional as F
from torch import nn


class GRULayer(nn.GRU):
    """A GRU over (batch, time, features): its last output, or all with ``return_sequences``."""

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
    ):
        super().__init__(input_size, hidden_size, bias=bias, batch_first=True)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards

    def forward(self, x, state=None):
        x = x.flip(1) if self.go_backwards else x
        outputs, h = super().forward(x, None if state is None else state.unsqueeze(0))
        result = outputs if self.return_sequences else outputs[:, -1]
        return (result, h[0]) if self.return_state else result


class ConvBranch(nn.Module):
    """A convolution that keeps the length of the sequence."""

    def __init__(self, filters, kernel_size):
        super().__init__()
        self.conv = nn.Conv1d(12, filters, kernel_size, padding="same", bias=False)
        self.bn = nn.BatchNorm1d(filters, eps=0.001, momentum=0.01)

    def forward(self, x):
        x = self.conv(x)
        x = self.bn(x)
        return F.relu(x)


class CnnRnn(nn.Module):
    """Two branches see the same sequence, a GRU reads both together."""

    def __init__(self, filters=32, units=48, num_classes=6):
        super().__init__()
        self.conv_branch1 = ConvBranch(filters, 3)
        self.conv_branch2 = ConvBranch(filters, 7)
        self.gru = GRULayer(2 * filters, units)
        self.scores = nn.Linear(units, num_classes)

    def forward(self, signals):
        short = self.conv_branch1(signals)
        long = self.conv_branch2(signals)
        features = torch.cat([short, long], dim=1)
        features = F.max_pool1d(features, 2)
        # the state after the last step
        state = self.gru(features.permute(0, 2, 1))
        scores = self.scores(state)
        return scores
