"""AlexNet, after "One weird trick for parallelizing convolutional neural networks" (https://arxiv.org/abs/1404.5997)."""

import keras
from keras import layers, ops


def pooling_options(x, *options):
    """The axes of channels-last data to pool, each with its own value of every option."""
    axes = range(1, len(x.shape) - 1)
    return zip(
        axes,
        *(o if isinstance(o, (tuple, list)) else (o,) * len(axes) for o in options),
    )


def adaptive_average_pool(x, output_size):
    """Pool channels-last data with as many windows as ``output_size`` says, overlapping where it does not divide."""
    for axis, count in pooling_options(x, output_size):
        size = x.shape[axis]
        if count is None or count == size:
            continue
        index = (slice(None),) * axis
        cells = [
            x[(*index, slice(i * size // count, -(-(i + 1) * size // count)))]
            for i in range(count)
        ]
        x = ops.concatenate(
            [ops.mean(cell, axis=axis, keepdims=True) for cell in cells], axis=axis
        )
    return x


class AdaptiveAveragePooling(layers.Layer):
    """Average pooling to a given output size."""

    def __init__(self, *args, name=None, **options):
        super().__init__(name=name)
        self.arguments = args
        self.options = options

    def call(self, x):
        return adaptive_average_pool(x, *self.arguments, **self.options)


class AlexNet(keras.Model):
    """Five convolutions, three fully connected layers.

    Args:
        num_classes: how many classes the last layer tells apart.
        dropout: probability of dropping a feature before the fully connected layers.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = keras.Sequential(
            [
                # a large stride at the start keeps the later feature maps small
                keras.Sequential(
                    [layers.ZeroPadding2D(2), layers.Conv2D(64, 11, strides=4)]
                ),
                layers.ReLU(),
                layers.MaxPooling2D(3, strides=2),
                layers.Conv2D(192, 5, padding="same"),
                layers.ReLU(),
                layers.MaxPooling2D(3, strides=2),
                layers.Conv2D(384, 3, padding="same"),
                layers.ReLU(),
                layers.Conv2D(256, 3, padding="same"),
                layers.ReLU(),
                layers.Conv2D(256, 3, padding="same"),
                layers.ReLU(),
                layers.MaxPooling2D(3, strides=2),
            ]
        )
        # any image size ends up as 6x6 here
        self.avgpool = AdaptiveAveragePooling((6, 6))
        self.classifier = keras.Sequential(
            [
                layers.Dropout(dropout),
                layers.Dense(4096),
                layers.ReLU(),
                layers.Dropout(dropout),
                layers.Dense(4096),
                layers.ReLU(),
                layers.Dense(num_classes),
            ]
        )

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Scores of every class for a batch of images."""
        x = self.features(x)
        x = self.avgpool(x)
        x = ops.reshape(x, (ops.shape(x)[0], -1))
        x = self.classifier(x)
        return x
