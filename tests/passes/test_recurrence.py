"""Recurrent layers of one level return what is used of them."""

from pathlib import Path

import pytest

import netferry

HEAD = """import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.{layer}
        self.fc = nn.Linear(7, 2)

    def forward(self, x):
"""
CASES = {
    "the only level of the last state": (
        "LSTM(5, 7, batch_first=True)",
        ["out, (h, c) = self.rnn(x)", "return self.fc(h[-1])"],
        ["layers.LSTM(7)", "h = self.rnn(x)", "return self.fc(h)"],
    ),
    "the last output": (
        "GRU(5, 7, batch_first=True, bias=False)",
        ["out, _ = self.rnn(x)", "last = self.fc(out[:, -1, :])", "return last"],
        ["layers.GRU(7, use_bias=False)", "out = self.rnn(x)", "last = self.fc(out)"],
    ),
    "outputs": (
        "LSTM(5, 7, batch_first=True)",
        ["return self.fc(self.rnn(x)[0])"],
        ["layers.LSTM(7, return_sequences=True)", "return self.fc(self.rnn(x))"],
    ),
    "all": (
        'RNN(5, 7, batch_first=True, nonlinearity="relu")',
        ["out, h = self.rnn(x)", "return self.fc(out), h"],
        ['activation="relu"', "return_sequences=True", "return_state=True", "h = h[None]"],
    ),
    "states given": (
        "LSTM(5, 7, batch_first=True)",
        [
            "z = torch.zeros(1, x.size(0), 7)",
            "o, (h, c) = self.rnn(x, (z, z + 1))",
            "return self.fc(o), h.squeeze(0) + c[0]",
        ],
        ["o, h, c = self.rnn(x, [z[0], (z + 1)[0]])", "h + c"],
    ),
    "states as a whole": (
        "LSTM(5, 7, batch_first=True)",
        ["out, state = self.rnn(x)", "out, (h, c) = self.rnn(x, state)", "return out, h"],
        ["class StackedLSTM"],
    ),
    "two levels": (
        "GRU(5, 7, 2, batch_first=True)",
        ["out, _ = self.rnn(x)", "return self.fc(out)"],
        ["layers.GRU(7, return_sequences=True), layers.GRU(7, return_sequences=True)", "out = self.rnn(x)"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_returned(name: str, tmp_path: Path) -> None:
    layer, body, expected = CASES[name]
    file = tmp_path / "net.py"
    file.write_text(HEAD.format(layer=layer) + "".join(f"        {line}\n" for line in body))
    found = netferry.migrate(file, to="keras", inputs=["3x4x5"])
    assert found.status == 0, found.verification.reason
    for text in expected:
        assert text in found.code
