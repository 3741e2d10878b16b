"""AlexNet, after "One weird trick for parallelizing convolutional neural networks" (https://arxiv.org/abs/1404.5997)."""

import math

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


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
        self.avgpool = layers.AdaptiveAveragePooling2D((6, 6))
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

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Scores of every class for a batch of images."""
        x = self.features(x)
        x = self.avgpool(x)
        x = tf.reshape(x, (-1, math.prod(x.shape[1:])))
        x = self.classifier(x)
        return x
