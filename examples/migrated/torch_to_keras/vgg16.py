"""VGG with 16 weight layers, from "Very Deep Convolutional Networks for Large-Scale Image Recognition"."""

import math

import keras
from keras import ops

# Numbers are the output channels of a convolution, "M" is a max pooling.
cfg = {
    "VGG11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "VGG16": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
}


def make_layers(cfg, batch_norm=False):
    """The convolutional part, from a list of channel numbers."""
    layers = []
    for v in cfg:
        if v == "M":
            layers += [keras.layers.MaxPooling2D(strides=2)]
        else:
            conv2d = keras.layers.Conv2D(v, 3, padding="same")
            if batch_norm:
                layers += [conv2d, keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-05), keras.layers.ReLU()]
            else:
                layers += [conv2d, keras.layers.ReLU()]
    return keras.Sequential(layers)


class VGG(keras.Model):
    """VGG on images of any size from 32 pixels on."""

    def __init__(self, features, num_classes=1000, hidden=4096):
        super().__init__()
        self.features = features
        self.avgpool = keras.layers.AdaptiveAveragePooling2D((7, 7))
        self.classifier = keras.Sequential(
            [
                keras.layers.Dense(hidden),
                keras.layers.ReLU(),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(hidden),
                keras.layers.ReLU(),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(num_classes),
            ]
        )

    def call(self, x):
        x = self.features(x)
        x = self.avgpool(x)
        x = ops.reshape(x, (-1, math.prod(x.shape[1:])))  # (batch, 512 * 7 * 7)
        return self.classifier(x)


def vgg16(num_classes=1000, batch_norm=False, hidden=4096):
    """Configuration D of the paper."""
    return VGG(make_layers(cfg["VGG16"], batch_norm), num_classes, hidden)
