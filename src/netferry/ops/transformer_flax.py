"""The transformer blocks that generated Flax code carries, built on multi-head attention.

Their sub-layers have PyTorch's names, so that the parameters of a stack are those of its parts under the same path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FLAX_BLOCKS: Final[Mapping[str, str]] = {
    "TransformerEncoderLayer": '''
class TransformerEncoderLayer(flax.nnx.Module):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalization."""

    def __init__(
        self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
        batch_first=False, norm_first=False, bias=True, *, rngs
    ):
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, rngs=rngs)
        self.linear1 = flax.nnx.Linear(d_model, dim_feedforward, use_bias=bias, rngs=rngs)
        self.linear2 = flax.nnx.Linear(dim_feedforward, d_model, use_bias=bias, rngs=rngs)
        self.activation = activation
        self.norm1 = flax.nnx.LayerNorm(d_model, epsilon=layer_norm_eps, use_bias=bias, rngs=rngs)
        self.norm2 = flax.nnx.LayerNorm(d_model, epsilon=layer_norm_eps, use_bias=bias, rngs=rngs)
        self.dropout = flax.nnx.Dropout(dropout, rngs=rngs)
        self.dropout1 = flax.nnx.Dropout(dropout, rngs=rngs)
        self.dropout2 = flax.nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x, src_mask=None, src_key_padding_mask=None):
        if self.norm_first:
            x = x + self.self_attention(self.norm1(x), src_mask, src_key_padding_mask)
            return x + self.dropout2(self.feed_forward(self.norm2(x)))
        x = self.norm1(x + self.self_attention(x, src_mask, src_key_padding_mask))
        return self.norm2(x + self.dropout2(self.feed_forward(x)))

    def self_attention(self, x, mask, padding_mask):
        x, _ = self.self_attn(x, x, x, key_padding_mask=padding_mask, need_weights=False, attn_mask=mask)
        return self.dropout1(x)

    def feed_forward(self, x):
        x = self.linear1(x)
        if self.activation == "gelu":
            x = flax.nnx.gelu(x, approximate=False)
        else:
            x = flax.nnx.relu(x) if self.activation == "relu" else self.activation(x)
        return self.linear2(self.dropout(x))
''',
    "TransformerDecoderLayer": '''
class TransformerDecoderLayer(TransformerEncoderLayer):
    """An encoder layer with attention to the encoder's output between its two parts."""

    def __init__(
        self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
        batch_first=False, norm_first=False, bias=True, *, rngs
    ):
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, rngs=rngs
        )
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, rngs=rngs)
        self.norm3 = flax.nnx.LayerNorm(d_model, epsilon=layer_norm_eps, use_bias=bias, rngs=rngs)
        self.dropout3 = flax.nnx.Dropout(dropout, rngs=rngs)

    def __call__(
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
    "clone_layers": '''
def clone_layers(layer, count, rngs):
    """Copies of a layer, each with random numbers of its own."""
    copies = [flax.nnx.clone(layer) for _ in range(count)]
    for copy in copies:
        flax.nnx.reseed(copy, dropout=rngs.dropout())
    return flax.nnx.List(copies)
''',
    "TransformerEncoder": '''
class TransformerEncoder(flax.nnx.Module):
    """A stack of copies of one encoder layer."""

    def __init__(self, encoder_layer, num_layers, norm=None, *, rngs):
        self.layers = clone_layers(encoder_layer, num_layers, rngs)
        self.norm = norm

    def __call__(self, x, src_mask=None, src_key_padding_mask=None):
        for layer in self.layers:
            x = layer(x, src_mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        return x if self.norm is None else self.norm(x)
''',
    "TransformerDecoder": '''
class TransformerDecoder(flax.nnx.Module):
    """A stack of copies of one decoder layer."""

    def __init__(self, decoder_layer, num_layers, norm=None, *, rngs):
        self.layers = clone_layers(decoder_layer, num_layers, rngs)
        self.norm = norm

    def __call__(
        self, x, encoded, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None
    ):
        for layer in self.layers:
            x = layer(x, encoded, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return x if self.norm is None else self.norm(x)
''',
    "Transformer": '''
class Transformer(flax.nnx.Module):
    """An encoder and a decoder that attends to its output."""

    def __init__(
        self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, dropout=0.1,
        activation="relu", layer_norm_eps=1e-5, batch_first=False, norm_first=False, bias=True, *, rngs
    ):
        self.d_model = d_model
        self.nhead = nhead
        arguments = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias
        )
        norm = flax.nnx.LayerNorm(d_model, epsilon=layer_norm_eps, use_bias=bias, rngs=rngs)
        layer = TransformerEncoderLayer(*arguments, rngs=rngs)
        self.encoder = TransformerEncoder(layer, num_encoder_layers, norm, rngs=rngs)
        norm = flax.nnx.LayerNorm(d_model, epsilon=layer_norm_eps, use_bias=bias, rngs=rngs)
        layer = TransformerDecoderLayer(*arguments, rngs=rngs)
        self.decoder = TransformerDecoder(layer, num_decoder_layers, norm, rngs=rngs)

    def __call__(
        self, source, target, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
        tgt_key_padding_mask=None, memory_key_padding_mask=None
    ):
        encoded = self.encoder(source, src_mask, src_key_padding_mask)
        return self.decoder(
            target, encoded, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        )
''',
}
"""Name of a definition -> its text; the names and requirements are those of Keras's."""
