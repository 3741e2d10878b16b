"""AlexNet as a functional Keras model, after "ImageNet Classification with Deep Convolutional Neural Networks"."""

import torch
import torch.nn.functional as F
from torch import nn


class Alexnet(nn.Module):
    """Five convolutions, three fully connected layers.

    Args:
        num_classes: how many classes the last layer tells apart.
        dropout: probability of dropping a feature after a fully connected layer.
    """

    def __init__(self, num_classes=1000, dropout=0.5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.fc1 = nn.Linear(256, 4096)
        self.dropout1 = nn.Dropout(dropout)
        self.fc2 = nn.Linear(4096, 4096)
        self.dropout2 = nn.Dropout(dropout)
        self.predictions = nn.Linear(4096, num_classes)

    def forward(self, inputs):
        # a large stride at the start keeps the later feature maps small
        x = F.relu(self.conv1(inputs))
        x = F.max_pool2d(x, 3, stride=2)
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 3, stride=2)
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = F.relu(self.conv5(x))
        x = F.max_pool2d(x, 3, stride=2)
        # the classifier
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = self.dropout1(x)
        x = F.relu(self.fc2(x))
        x = self.dropout2(x)
        outputs = F.softmax(self.predictions(x), dim=-1)
        return outputs
