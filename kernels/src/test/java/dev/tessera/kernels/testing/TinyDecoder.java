package dev.tessera.kernels.testing;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.WeightShapes;
import dev.tessera.kvcache.KvGeometry;
import dev.tessera.kvcache.LayerGroup;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;

/// A decoder small enough to be compared with the oracle, with random weights in memory.
public record TinyDecoder(DecoderSpec spec, DecoderWeights weights) {

  /// A plain Llama with two layers; change what the test is about.
  public static Builder builder() {
    return new Builder();
  }

  /// The features of a [TinyDecoder].
  public static final class Builder {

    private int vocabulary = 97;
    private int hidden = 64;
    private int heads = 4;
    private int kvHeads = 2;
    private int headDim = 16;
    private int feedForward = 96;
    private int layers = 2;
    private int window;
    private int sinkTokens;
    private int windowedLayers;
    private float attentionSoftCap;
    private float logitSoftCap;
    private float embeddingScale = 1;
    private DecoderSpec.Activation activation = DecoderSpec.Activation.SILU;
    private RopeSpec.Pairing pairing = RopeSpec.Pairing.INTERLEAVED;
    private int rotaryDim = -1;
    private float ropeMagnitude = 1;
    private TensorType type = TensorType.F32;
    private TensorType embeddingType = TensorType.F32;
    private boolean bias;
    private boolean headNorms;
    private boolean postNorms;
    private boolean tied;

    private Builder() {}

    public Builder vocabulary(int value) {
      vocabulary = value;
      return this;
    }

    public Builder hidden(int value) {
      hidden = value;
      return this;
    }

    public Builder heads(int queries, int keys, int dimension) {
      heads = queries;
      kvHeads = keys;
      headDim = dimension;
      return this;
    }

    public Builder feedForward(int value) {
      feedForward = value;
      return this;
    }

    public Builder layers(int value) {
      layers = value;
      return this;
    }

    /// The first layers of the decoder see a window and the sinks; the others see everything.
    public Builder window(int tokens, int sinks, int ofLayers) {
      window = tokens;
      sinkTokens = sinks;
      windowedLayers = ofLayers;
      return this;
    }

    public Builder softCaps(float attention, float logits) {
      attentionSoftCap = attention;
      logitSoftCap = logits;
      return this;
    }

    public Builder embeddingScale(float value) {
      embeddingScale = value;
      return this;
    }

    public Builder activation(DecoderSpec.Activation value) {
      activation = value;
      return this;
    }

    public Builder rope(RopeSpec.Pairing order, int dimensions, float magnitude) {
      pairing = order;
      rotaryDim = dimensions;
      ropeMagnitude = magnitude;
      return this;
    }

    public Builder types(TensorType matrices, TensorType embedding) {
      type = matrices;
      embeddingType = embedding;
      return this;
    }

    public Builder bias() {
      bias = true;
      return this;
    }

    public Builder headNorms() {
      headNorms = true;
      return this;
    }

    public Builder postNorms() {
      postNorms = true;
      return this;
    }

    public Builder tied() {
      tied = true;
      return this;
    }

    /// Draws the weights.
    public TinyDecoder build(long seed) {
      DecoderSpec spec = spec();
      var random = new Random(seed);
      Map<String, Tensor> tensors = new HashMap<>();
      for (WeightRole role : WeightRole.values()) {
        int copies = WeightShapes.isLayered(role) ? layers : 1;
        for (int copy = 0; has(role) && copy < copies; copy++) {
          int layer = WeightShapes.isLayered(role) ? copy : DecoderWeights.NO_LAYER;
          tensors.put(role + " " + layer, tensor(spec, role, layer, random));
        }
      }
      return new TinyDecoder(spec, (role, layer) -> tensors.get(role + " " + layer));
    }

    private DecoderSpec spec() {
      var groups = new ArrayList<LayerGroup>();
      if (windowedLayers > 0) {
        groups.add(new LayerGroup(0, range(0, windowedLayers), window, sinkTokens));
      }
      if (windowedLayers < layers) {
        groups.add(new LayerGroup(groups.size(), range(windowedLayers, layers), 0, 0));
      }
      var shapes = new ArrayList<DecoderSpec.Layer>();
      for (LayerGroup group : groups) {
        for (int i = 0; i < group.layers().size(); i++) {
          shapes.add(new DecoderSpec.Layer(group.id(), i, group.id()));
        }
      }
      return new DecoderSpec(
          vocabulary,
          hidden,
          heads,
          kvHeads,
          headDim,
          feedForward,
          activation,
          1e-5f,
          embeddingScale,
          (float) (1 / Math.sqrt(headDim)),
          attentionSoftCap,
          logitSoftCap,
          groups.stream().map(group -> rope(10_000 * (1 + group.id()))).toList(),
          shapes,
          new KvGeometry(groups, layers, kvHeads, headDim),
          4096);
    }

    private RopeSpec rope(double base) {
      int pairs = (rotaryDim < 0 ? headDim : rotaryDim) / 2;
      var frequencies = new double[pairs];
      for (int i = 0; i < pairs; i++) {
        frequencies[i] = Math.pow(base, -i / (double) pairs);
      }
      return new RopeSpec(pairing, frequencies, ropeMagnitude);
    }

    private boolean has(WeightRole role) {
      return switch (role) {
        case OUTPUT -> !tied;
        case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> bias;
        case QUERY_NORM, KEY_NORM -> headNorms;
        case POST_ATTENTION_NORM, POST_FEED_FORWARD_NORM -> postNorms;
        default -> true;
      };
    }

    private Tensor tensor(DecoderSpec spec, WeightRole role, int layer, Random random) {
      String name = role + "." + layer;
      int rows = WeightShapes.rows(spec, role);
      int columns = WeightShapes.columns(spec, role);
      return switch (role) {
        case TOKEN_EMBEDDING -> RandomTensors.matrix(name, embeddingType, rows, columns, 1, random);
        case OUTPUT, QUERY, KEY, VALUE, ATTENTION_OUTPUT, GATE, UP, DOWN ->
            RandomTensors.matrix(name, type, rows, columns, 1 / Math.sqrt(columns), random);
        case QUERY_BIAS, KEY_BIAS, VALUE_BIAS ->
            RandomTensors.vector(name, RandomTensors.gaussians(columns, 0, 0.5, random));
        default -> RandomTensors.vector(name, RandomTensors.gaussians(columns, 1, 0.2, random));
      };
    }

    private static List<Integer> range(int from, int to) {
      return IntStream.range(from, to).boxed().toList();
    }
  }
}
