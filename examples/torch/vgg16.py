"""VGG with 16 weight layers, from "Very Deep Convolutional Networks for Large-Scale Image Recognition"."""

import torch
import torch.nn as nn

# Numbers are the output channels of a convolution, "M" is a max pooling.
cfg = {
    "VGG11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "VGG16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
}


def make_layers(cfg, batch_norm=False):
    """The convolutional part, from a list of channel numbers."""
    layers = []
    in_channels = 3
    for v in cfg:
        if v == "M":
            layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
        else:
            conv2d = nn.Conv2d(in_channels, v, kernel_size=3, padding=1)
            if batch_norm:
                layers += [conv2d, nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
            else:
                layers += [conv2d, nn.ReLU(inplace=True)]
            in_channels = v
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """VGG on images of any size from 32 pixels on."""

    def __init__(self, features, num_classes=1000, hidden=4096):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = x.view(x.size(0), -1)  # (batch, 512 * 7 * 7)
        return self.classifier(x)


def vgg16(num_classes=1000, batch_norm=False, hidden=4096):
    """Configuration D of the paper."""
    return VGG(make_layers(cfg["VGG16"], batch_norm), num_classes, hidden)


if __name__ == "__main__":
    net = vgg16()
    print(net(torch.randn(2, 3, 224, 224)).size())
