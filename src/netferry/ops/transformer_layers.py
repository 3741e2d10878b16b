"""The transformer blocks that generated Keras code carries, built on multi-head attention.

Their sub-layers have PyTorch's names, so that the parameters of a stack are those of its parts under the same path.
"""

from __future__ import annotations

from netferry.ops.shared import keras_support
from netferry.ops.transformer_flax import FLAX_BLOCKS

keras_support(
    "TransformerEncoderLayer",
    '''
class TransformerEncoderLayer(keras.layers.Layer):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalization."""

    def __init__(
        self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
        batch_first=False, norm_first=False, bias=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.arguments = {
            "d_model": d_model, "nhead": nhead, "dim_feedforward": dim_feedforward, "dropout": dropout,
            "activation": activation, "layer_norm_eps": layer_norm_eps, "batch_first": batch_first,
            "norm_first": norm_first, "bias": bias,
        }
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.linear1 = keras.layers.Dense(dim_feedforward, use_bias=bias)
        self.activation = keras.layers.Activation(activation)
        self.dropout = keras.layers.Dropout(dropout)
        self.linear2 = keras.layers.Dense(d_model, use_bias=bias)
        self.norm1 = keras.layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
        self.norm2 = keras.layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
        self.dropout1 = keras.layers.Dropout(dropout)
        self.dropout2 = keras.layers.Dropout(dropout)

    def get_config(self):
        return {**super().get_config(), **self.arguments}

    def call(self, x, src_mask=None, src_key_padding_mask=None):
        if self.norm_first:
            x = x + self.self_attention(self.norm1(x), src_mask, src_key_padding_mask)
            return x + self.dropout2(self.feed_forward(self.norm2(x)))
        x = self.norm1(x + self.self_attention(x, src_mask, src_key_padding_mask))
        return self.norm2(x + self.dropout2(self.feed_forward(x)))

    def self_attention(self, x, mask, padding_mask):
        x, _ = self.self_attn(x, x, x, key_padding_mask=padding_mask, need_weights=False, attn_mask=mask)
        return self.dropout1(x)

    def feed_forward(self, x):
        return self.linear2(self.dropout(self.activation(self.linear1(x))))
''',
    flax=FLAX_BLOCKS["TransformerEncoderLayer"],
    requires=("MultiheadAttention",),
)
keras_support(
    "TransformerDecoderLayer",
    '''
class TransformerDecoderLayer(TransformerEncoderLayer):
    """An encoder layer with attention to the encoder's output between its two parts."""

    def __init__(
        self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
        batch_first=False, norm_first=False, bias=True, **kwargs
    ):
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, **kwargs
        )
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first)
        self.norm3 = keras.layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
        self.dropout3 = keras.layers.Dropout(dropout)

    def call(
        self, x, encoded, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None
    ):
        if self.norm_first:
            x = x + self.self_attention(self.norm1(x), tgt_mask, tgt_key_padding_mask)
            x = x + self.cross_attention(self.norm2(x), encoded, memory_mask, memory_key_padding_mask)
            return x + self.dropout3(self.feed_forward(self.norm3(x)))
        x = self.norm1(x + self.self_attention(x, tgt_mask, tgt_key_padding_mask))
        x = self.norm2(x + self.cross_attention(x, encoded, memory_mask, memory_key_padding_mask))
        return self.norm3(x + self.dropout3(self.feed_forward(x)))

    def cross_attention(self, x, encoded, mask, padding_mask):
        x, _ = self.multihead_attn(
            x, encoded, encoded, key_padding_mask=padding_mask, need_weights=False, attn_mask=mask
        )
        return self.dropout2(x)
''',
    flax=FLAX_BLOCKS["TransformerDecoderLayer"],
    requires=("TransformerEncoderLayer",),
)
keras_support(
    "clone_layers",
    '''
def clone_layers(layer, count):
    """New layers with the configuration of the given one and weights of their own."""
    return [type(layer).from_config({**layer.get_config(), "name": None}) for _ in range(count)]
''',
    flax=FLAX_BLOCKS["clone_layers"],
)
keras_support(
    "TransformerEncoder",
    '''
class TransformerEncoder(keras.layers.Layer):
    """A stack of copies of one encoder layer."""

    def __init__(self, encoder_layer, num_layers, norm=None, **kwargs):
        super().__init__(**kwargs)
        self.layers = clone_layers(encoder_layer, num_layers)
        self.norm = norm

    def call(self, x, src_mask=None, src_key_padding_mask=None):
        for layer in self.layers:
            x = layer(x, src_mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        return x if self.norm is None else self.norm(x)
''',
    flax=FLAX_BLOCKS["TransformerEncoder"],
    requires=("clone_layers",),
)
keras_support(
    "TransformerDecoder",
    '''
class TransformerDecoder(keras.layers.Layer):
    """A stack of copies of one decoder layer."""

    def __init__(self, decoder_layer, num_layers, norm=None, **kwargs):
        super().__init__(**kwargs)
        self.layers = clone_layers(decoder_layer, num_layers)
        self.norm = norm

    def call(
        self, x, encoded, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None
    ):
        for layer in self.layers:
            x = layer(x, encoded, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return x if self.norm is None else self.norm(x)
''',
    flax=FLAX_BLOCKS["TransformerDecoder"],
    requires=("clone_layers",),
)
keras_support(
    "Transformer",
    '''
class Transformer(keras.layers.Layer):
    """An encoder and a decoder that attends to its output."""

    def __init__(
        self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1,
        activation="relu", layer_norm_eps=1e-5, batch_first=False, norm_first=False, bias=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.d_model = d_model
        self.nhead = nhead
        arguments = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        )
        encoder_norm = keras.layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
        self.encoder = TransformerEncoder(TransformerEncoderLayer(*arguments), num_encoder_layers, encoder_norm)
        decoder_norm = keras.layers.LayerNormalization(epsilon=layer_norm_eps, center=bias)
        self.decoder = TransformerDecoder(TransformerDecoderLayer(*arguments), num_decoder_layers, decoder_norm)

    def call(
        self, source, target, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
        tgt_key_padding_mask=None, memory_key_padding_mask=None
    ):
        encoded = self.encoder(source, src_mask, src_key_padding_mask)
        return self.decoder(
            target, encoded, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        )
''',
    flax=FLAX_BLOCKS["Transformer"],
    requires=("TransformerEncoder", "TransformerDecoder", "TransformerDecoderLayer"),
)
