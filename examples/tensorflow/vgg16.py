"""VGG with 16 weight layers, from "Very Deep Convolutional Networks for Large-Scale Image Recognition"."""

import tensorflow as tf
from tensorflow import keras


def pooling_options(x, *options):
    """The axes of channels-last data to pool, each with its own value of every option."""
    axes = range(1, len(x.shape) - 1)
    return zip(axes, *(o if isinstance(o, (tuple, list)) else (o,) * len(axes) for o in options))


def adaptive_average_pool(x, output_size):
    """Pool channels-last data with as many windows as ``output_size`` says, overlapping where it does not divide."""
    for axis, count in pooling_options(x, output_size):
        size = x.shape[axis]
        if count is None or count == size:
            continue
        index = (slice(None),) * axis
        cells = [x[(*index, slice(i * size // count, -(-(i + 1) * size // count)))] for i in range(count)]
        x = tf.concat([tf.reduce_mean(cell, axis=axis, keepdims=True) for cell in cells], axis=axis)
    return x


class AdaptiveAveragePooling(keras.layers.Layer):
    """Average pooling to a given output size."""

    def __init__(self, *args, name=None, **options):
        super().__init__(name=name)
        self.arguments = args
        self.options = options

    def call(self, x):
        return adaptive_average_pool(x, *self.arguments, **self.options)


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
            layers += [keras.layers.MaxPooling2D(strides=2)]
        else:
            conv2d = keras.layers.Conv2D(v, 3, padding="same")
            if batch_norm:
                layers += [conv2d, keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-05), keras.layers.ReLU()]
            else:
                layers += [conv2d, keras.layers.ReLU()]
            in_channels = v
    return keras.Sequential(layers)


class VGG(keras.Model):
    """VGG on images of any size from 32 pixels on."""

    def __init__(self, features, num_classes=1000, hidden=4096):
        super().__init__()
        self.features = features
        self.avgpool = AdaptiveAveragePooling((7, 7))
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
        x = tf.reshape(x, (x.shape[0], -1))  # (batch, 512 * 7 * 7)
        return self.classifier(x)


def vgg16(num_classes=1000, batch_norm=False, hidden=4096):
    """Configuration D of the paper."""
    return VGG(make_layers(cfg["VGG16"], batch_norm), num_classes, hidden)
