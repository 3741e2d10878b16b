"""Published habits of functional code: blocks of several calls, factories, lists of layers, orders of axes."""

from pathlib import Path
from typing import Any

import netferry

_HEAD = """
from keras import backend, layers, models
"""
_IMAGES = [{"shape": [2, 16, 12, 3], "dtype": "float32"}]


def migrated(code: str, tmp_path: Path, entry: str = "Net", *, verify: bool = False) -> Any:
    file = tmp_path / "network.py"
    file.write_text(_HEAD + code)
    return netferry.migrate(file, to="torch", entry=entry, inputs=_IMAGES, verify=verify)


_RESIDUAL = """
def conv_bn(x, filters, size, padding="same", strides=(1, 1)):
    axis = 3 if backend.image_data_format() == "channels_last" else 1
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
    x = layers.BatchNormalization(axis=axis, scale=False)(x)
    return layers.Activation("relu")(x)


def residual(x, filters, stride=1, name=None):
    if stride > 1:
        shortcut = layers.Conv2D(2 * filters, 1, strides=stride, name=f"{name}_shortcut")(x)
    else:
        shortcut = x
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(filters, 3, strides=stride, name=f"{name}_1_conv")(x)
    x = layers.Conv2D(2 * filters, 3, padding="same", name=f"{name}_2_conv")(x)
    return layers.Activation("relu")(layers.Add()([shortcut, x]))


def stack(x, filters, blocks, name):
    x = residual(x, filters, 2, name=f"{name}_block1")
    for i in range(2, blocks + 1):
        x = residual(x, filters, name=f"{name}_block{i}")
    return x


def Net(classes=5, widths=(4, 6)):
    inputs = layers.Input((16, 12, 3))
    x = conv_bn(inputs, 8, 3, padding="valid", strides=(2, 2))
    x = conv_bn(x, 6, 3)
    for i, width in enumerate(widths):
        x = stack(x, width, 3, name=f"stage{i}")
    x = layers.GlobalAveragePooling2D()(x)
    return models.Model(inputs, layers.Dense(classes, activation="softmax")(x))
"""


def test_a_residual_network_becomes_classes_that_hand_sizes_on(tmp_path: Path) -> None:
    made = migrated(_RESIDUAL, tmp_path, verify=True)
    assert made.verification.status == "verified", made.diagnostics
    code = made.code
    assert "class Residual(nn.Module):\n    def __init__(self, in_channels, filters, stride=1):" in code
    assert "self.shortcut = nn.Conv2d(in_channels, 2 * filters, 1, stride=stride)" in code
    assert "Residual(2 * filters, filters)" in code
    assert "in_channels = 2 * width" in code and "self.stages.append(Stack(in_channels, width, 3))" in code
    assert "padding=padding" in code, "both words are PyTorch's too"
    assert "stride=stride, padding=1)" in code and "ZeroPad2d" not in code, "padding is the convolution's own"
    assert "Lazy" not in code and "axis" not in code


def test_dense_connections_grow_by_what_they_add(tmp_path: Path) -> None:
    code = migrated(
        """
def unit(x, growth):
    y = layers.Conv2D(4 * growth, 1)(x)
    y = layers.Conv2D(growth, 3, padding="same")(y)
    return layers.Concatenate(axis=-1)([x, y])


def Net(growth=3):
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(8, 3)(inputs)
    for _ in range(4):
        x = unit(x, growth)
    return models.Model(inputs, layers.BatchNormalization()(x))
""",
        tmp_path,
    ).code
    assert "in_channels = 8" in code and "in_channels += growth" in code
    assert "nn.Conv2d(in_channels, 4 * growth, 1)" in code and "nn.Conv2d(4 * growth, growth, 3, padding=1)" in code


def test_functions_that_return_functions_are_classes(tmp_path: Path) -> None:
    made = migrated(
        """
def Block(width, rate=0.0, name=None):
    def apply(inputs):
        x = layers.Conv2D(width, 3, padding="same", name=f"{name}_conv")(inputs)
        if rate:
            layer = layers.Dropout(rate)
        else:
            layer = layers.Activation("linear")
        return inputs + layer(x)

    return apply


def Net():
    inputs = layers.Input((16, 12, 3))
    downs = []
    for width in (4, 6):
        downs.append(models.Sequential([layers.Conv2D(width, 2, strides=2), layers.BatchNormalization()]))
    x = inputs
    for i in range(2):
        x = downs[i](x)
        for j in range(2):
            x = Block((4, 6)[i], name=f"stage{i}_{j}")(x)
    return models.Model(inputs, x)
""",
        tmp_path,
        verify=True,
    )
    assert made.verification.status == "verified", made.diagnostics
    code = made.code
    assert "class Block(nn.Module):\n    def __init__(self, width, rate=0.0):" in code
    assert "self.layer = nn.Dropout(rate)" in code and "self.layer = nn.Identity()" in code
    assert "self.downs = nn.ModuleList()" in code and "x = self.downs[i](x)" in code
    assert "nn.Conv2d(width, width, 3, padding=1)" in code


def test_gates_of_channels_keep_the_order_of_axes(tmp_path: Path) -> None:
    made = migrated(
        """
def gate(x, filters):
    axis = 3 if backend.image_data_format() == "channels_last" else 1
    y = layers.GlobalAveragePooling2D()(x)
    if axis == 1:
        shape = (filters, 1, 1)
    else:
        shape = (1, 1, filters)
    y = layers.Reshape(shape)(y)
    return layers.multiply([x, layers.Conv2D(filters, 1, activation="sigmoid")(y)])


def Net():
    inputs = layers.Input((16, 12, 3))
    x = layers.Rescaling(1 / 255.0)(inputs)
    x = layers.Normalization(axis=3)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    x = gate(x, 6)
    x = layers.Dropout(0.2, noise_shape=(None, 1, 1, 1))(x)
    return models.Model(inputs, x)
""",
        tmp_path,
        verify=True,
    )
    assert made.verification.status == "verified", made.diagnostics
    code = made.code
    assert "y = y[:, :, None, None]" in code and "shape" not in code.partition("class Gate")[2].partition("class ")[0]
    assert "Conv2d( 3, 3 * 2, 3," in " ".join(code.split()) and "groups=3" in code
    assert "StochasticDepth(0.2)" in code, "whole samples are dropped, not single values"


def test_sizes_are_handed_on_through_nested_loops_and_branches(tmp_path: Path) -> None:
    source = '''
import keras

BLOCKS = [(2, 4), (1, "pool"), (2, 8)]


def network(batch_norm=False):
    """Blocks from a list."""
    model = keras.Sequential([keras.Input((8, 8, 3))])
    for number, channels in BLOCKS:
        for _ in range(number):
            if channels == "pool":
                model.add(layers.MaxPooling2D())
            else:
                conv = layers.Conv2D(channels, 3, padding="same")
                model.add(conv)
                if batch_norm:
                    model.add(layers.BatchNormalization())
    return model
'''
    code = migrated(source, tmp_path, entry="network", verify=True).code
    assert code.count("in_channels = 3") == 1
    assert code.index("in_channels = 3") < code.index("for number, channels in BLOCKS:")
    assert "nn.Conv2d(in_channels, channels, 3, padding=1)" in code
    assert "Lazy" not in code


def test_comments_and_activations_of_a_builder_go_where_the_layers_are_applied(tmp_path: Path) -> None:
    source = """
import keras
from keras import layers


def network():
    inputs = keras.Input((8, 8, 3))
    # the stem
    x = layers.Conv2D(4, 3, activation="relu", name="stem")(inputs)
    x = layers.Flatten()(x)
    # scores
    return keras.Model(inputs, layers.Dense(2, name="scores")(x))
"""
    code = migrated(source, tmp_path, entry="network", verify=True).code
    assert "        # the stem\n        x = F.relu(self.stem(inputs))" in code
    assert "        # scores\n" in code
    assert "self.stem = nn.Conv2d(3, 4, 3)" in code


def test_softmax_along_channels_follows_them(tmp_path: Path) -> None:
    made = migrated(
        """
def Net():
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(4, 3)(inputs)
    held = layers.Activation("softmax")
    return models.Model(inputs, [
        layers.Softmax()(x), layers.Activation("softmax")(x), layers.Conv2D(5, 3, activation="softmax")(x), held(x),
    ])
""",
        tmp_path,
        verify=True,
    )
    assert made.verification.status == "verified", made.verification.reason
    assert made.code.count("dim=1") == 3 and "nn.Softmax(1)" in made.code


def test_networks_called_as_layers_are_made_once(tmp_path: Path) -> None:
    made = migrated(
        """
def make_encoder():
    inputs = layers.Input((16, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    return models.Model(inputs, layers.GlobalAveragePooling2D()(x))


def Net():
    inputs = layers.Input((16, 12, 3))
    encoder = make_encoder()
    return models.Model(inputs, encoder(inputs) - encoder(inputs * 2))
""",
        tmp_path,
        verify=True,
    )
    assert made.verification.status == "verified", made.verification.reason
    assert "self.encoder = Encoder()" in made.code and "self.encoder(inputs * 2)" in made.code
    assert "permute" not in made.code, "both have channels first"
