package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.RopeSpec.Pairing;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.models.gguf.GgufFile;
import dev.tessera.models.safetensors.SafetensorsCheckpoint;
import dev.tessera.models.testing.ForwardPass;
import dev.tessera.models.testing.TinyModel;
import dev.tessera.models.testing.TinyModel.Family;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class NetworkTest {
  @TempDir Path directory;

  /// The rows of Q and K lie in another order in one of the files, which reorders the sums of the
  /// scores: the oracle adds in double precision and its cache holds floats.
  private static final float REORDERING = 1e-4f;

  @ParameterizedTest
  @EnumSource
  void bothFormatsOfAModelGiveTheSameLogits(Family family) throws Exception {
    TinyModel tiny = TinyModel.of(family).seed(3);
    int[] tokens = new Random(5).ints(70, 0, 320).toArray();
    float[][] fromGguf;
    try (GgufFile file = GgufFile.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      fromGguf = logits(Network.of(file, "tiny"), tokens);
    }
    try (var checkpoint = SafetensorsCheckpoint.open(tiny.writeShards(directory, 3))) {
      float[][] fromSafetensors = logits(network(checkpoint), tokens);
      for (int i = 0; i < tokens.length; i++) {
        assertArrayEquals(fromGguf[i], fromSafetensors[i], REORDERING, "token " + i);
      }
    }
  }

  private static float[][] logits(Network network, int[] tokens) {
    return ForwardPass.logits(new ScalarBackend(), network.spec(), network.weights(), tokens);
  }

  private Network network(SafetensorsCheckpoint checkpoint) throws Exception {
    Map<String, Object> config =
        Objects.requireNonNull(JsonFile.read(directory.resolve("config.json")));
    return Network.of(config, checkpoint.tensors(), "tiny");
  }

  private Network ofGguf(TinyModel tiny) throws Exception {
    // Not closed: the weights are looked at afterwards; the mapping goes with the process.
    return Network.of(GgufFile.open(tiny.writeGguf(directory.resolve("tiny.gguf"))), "tiny");
  }

  private Network ofSafetensors(TinyModel tiny) throws Exception {
    return network(SafetensorsCheckpoint.open(tiny.writeSafetensors(directory)));
  }

  @Test
  void ggufLlamaIsInterleavedAndEverythingElseSplit() throws Exception {
    for (Family family : Family.values()) {
      Pairing expected = family == Family.LLAMA ? Pairing.INTERLEAVED : Pairing.SPLIT;
      assertEquals(expected, pairing(ofGguf(TinyModel.of(family))));
      assertEquals(Pairing.SPLIT, pairing(ofSafetensors(TinyModel.of(family))));
    }
  }

  private static Pairing pairing(Network network) {
    return network.spec().ropes().getFirst().pairing();
  }

  @Test
  void gemmaAlternatesFiveWindowsAndOneFullLayer() throws Exception {
    TinyModel tiny = TinyModel.of(Family.GEMMA3).layers(13).window(48);
    for (Network network : List.of(ofGguf(tiny), ofSafetensors(tiny))) {
      DecoderSpec spec = network.spec();
      assertEquals(List.of(5, 11), spec.kv().groups().get(0).layers());
      assertEquals(0, spec.kv().groups().get(0).window());
      assertEquals(List.of(0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12), spec.kv().groups().get(1).layers());
      assertEquals(48, spec.kv().groups().get(1).window());
      assertEquals(new DecoderSpec.Layer(0, 1, 0), spec.layers().get(11));
      assertEquals(new DecoderSpec.Layer(1, 10, 1), spec.layers().get(12));
      double[] full = spec.ropes().get(0).frequencies();
      double[] windowed = spec.ropes().get(1).frequencies();
      assertEquals(Math.pow(1e6, -2.0 / 16), full[1], 1e-12);
      assertEquals(Math.pow(1e4, -2.0 / 16), windowed[1], 1e-12);
      assertEquals(DecoderSpec.Activation.GELU_TANH, spec.activation());
      assertEquals(8f, spec.embeddingScale(), "the root of 64 channels, not rounded");
      assertEquals(0.25f, spec.attentionScale());
    }
  }

  @Test
  void gemmaScalesTheRotationOfFullLayersOnly() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.GEMMA3)
            .gguf("gemma3.rope.scaling.type", "linear")
            .gguf("gemma3.rope.scaling.factor", 8f)
            .config("rope_scaling", Map.of("rope_type", "linear", "factor", 8.0));
    for (Network network : List.of(ofGguf(tiny), ofSafetensors(tiny))) {
      assertEquals(0.125, network.spec().ropes().get(0).frequencies()[0]);
      assertEquals(1, network.spec().ropes().get(1).frequencies()[0]);
    }
  }

  @Test
  void gemmaTakesTheScoresScaleFromItsConfiguration() throws Exception {
    TinyModel tiny = TinyModel.of(Family.GEMMA3).config("query_pre_attn_scalar", 64);
    assertEquals(0.125f, ofSafetensors(tiny).spec().attentionScale());
  }

  @Test
  void gemmaOf62LayersScalesScoresByTheWidthPerHead() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.GEMMA3).layers(62).hidden(64).heads(2, 1, 8).feedForward(8);
    assertEquals((float) Math.sqrt(1 / 32.0), ofGguf(tiny).spec().attentionScale());
  }

  @Test
  void gemmaNormsOfSafetensorsLackOne() throws Exception {
    TinyModel tiny = TinyModel.of(Family.GEMMA3);
    float fromGguf = first(ofGguf(tiny), WeightRole.QUERY_NORM);
    assertEquals(fromGguf, first(ofSafetensors(tiny), WeightRole.QUERY_NORM));
    assertTrue(fromGguf > 0.5);
  }

  private static float first(Network network, WeightRole role) {
    return network
        .weights()
        .required(role, 0)
        .data()
        .get(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED, 0);
  }

  @Test
  void mistralsWindowHoldsForEveryLayerOrForNone() throws Exception {
    TinyModel tiny = TinyModel.of(Family.LLAMA).config("model_type", "mistral");
    assertTrue(ofSafetensors(tiny).spec().kv().groups().getFirst().isFull());
    DecoderSpec windowed = ofSafetensors(tiny.config("sliding_window", 96)).spec();
    assertEquals(1, windowed.kv().groups().size());
    assertEquals(96, windowed.kv().groups().getFirst().window());
  }

  @Test
  void qwensWindowCoversTheUpperLayersWhereItIsUsed() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.QWEN2)
            .layers(4)
            .config("sliding_window", 128)
            .config("max_window_layers", 3);
    assertEquals(
        1, ofSafetensors(tiny.config("use_sliding_window", false)).spec().kv().groups().size());
    var groups = ofSafetensors(tiny.config("use_sliding_window", true)).spec().kv().groups();
    assertEquals(List.of(0, 1, 2), groups.get(0).layers());
    assertEquals(List.of(3), groups.get(1).layers());
  }

  @Test
  void layerTypesOverrideThePattern() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.GEMMA3)
            .layers(3)
            .config(
                "layer_types", List.of("full_attention", "sliding_attention", "full_attention"));
    assertEquals(List.of(0, 2), ofSafetensors(tiny).spec().kv().groups().get(0).layers());
  }

  @Test
  void readsTheRotationWhereTransformers5PutsIt() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.GEMMA3)
            .config("rope_theta", null)
            .config(
                "rope_parameters",
                Map.of(
                    "full_attention",
                    Map.of("rope_type", "linear", "factor", 2.0, "rope_theta", 5e5),
                    "sliding_attention",
                    Map.of("rope_type", "default", "rope_theta", 2e4)));
    var ropes = ofSafetensors(tiny).spec().ropes();
    assertEquals(Math.pow(5e5, -2.0 / 16) / 2, ropes.get(0).frequencies()[1], 1e-12);
    assertEquals(Math.pow(2e4, -2.0 / 16), ropes.get(1).frequencies()[1], 1e-12);
  }

  @Test
  void scalesTheRotationAsTheFileSays() throws Exception {
    double[] plain = RopeScaling.frequencies(1e4, 16);
    assertArrayEquals(
        RopeScaling.linear(plain, 4),
        frequencies(
            ofGguf(
                TinyModel.of(Family.LLAMA)
                    .gguf("llama.rope.scaling.type", "linear")
                    .gguf("llama.rope.scaling.factor", 4f))));
    var llama3 =
        Map.of(
            "rope_type", "llama3",
            "factor", 8.0,
            "low_freq_factor", 1.0,
            "high_freq_factor", 4.0,
            "original_max_position_embeddings", 256);
    assertArrayEquals(
        RopeScaling.llama3(plain, 8, 1, 4, 256),
        frequencies(ofSafetensors(TinyModel.of(Family.LLAMA).config("rope_scaling", llama3))));
  }

  @Test
  void yarnStretchesTheContext() throws Exception {
    var scaling =
        Map.of("rope_type", "yarn", "factor", 4.0, "original_max_position_embeddings", 512);
    DecoderSpec fromSafetensors =
        ofSafetensors(TinyModel.of(Family.QWEN2).config("rope_scaling", scaling)).spec();
    DecoderSpec fromGguf =
        ofGguf(
                TinyModel.of(Family.QWEN2)
                    .gguf("qwen2.rope.scaling.type", "yarn")
                    .gguf("qwen2.rope.scaling.factor", 4f)
                    .gguf("qwen2.rope.scaling.original_context_length", 512))
            .spec();
    for (DecoderSpec spec : List.of(fromSafetensors, fromGguf)) {
      assertEquals(2048, spec.maxPositions());
      assertEquals(1.138629436f, spec.ropes().getFirst().magnitude(), 1e-7);
    }
    assertArrayEquals(
        fromSafetensors.ropes().getFirst().frequencies(),
        fromGguf.ropes().getFirst().frequencies());
  }

  private static double[] frequencies(Network network) {
    return network.spec().ropes().getFirst().frequencies();
  }

  @ParameterizedTest
  @CsvSource({"1, 1, 8", "8, 1, 64", "6, 2, 24", "3, 3, 256", "16, 2, 40"})
  void takesAnyGroupingAndHeadDimension(int heads, int kvHeads, int headDim) throws Exception {
    DecoderSpec spec =
        ofGguf(TinyModel.of(Family.LLAMA).heads(heads, kvHeads, headDim).layers(1)).spec();
    assertEquals(heads / kvHeads, spec.queriesPerKvHead());
    assertEquals(headDim, spec.headDim());
  }

  @Test
  void aTiedModelHasNoOutputOfItsOwn() throws Exception {
    Network tied = ofGguf(TinyModel.of(Family.LLAMA).tied(true));
    assertNull(tied.weights().tensor(WeightRole.OUTPUT, DecoderWeights.NO_LAYER));
    Network untied = ofGguf(TinyModel.of(Family.LLAMA));
    assertNotNull(untied.weights().tensor(WeightRole.OUTPUT, DecoderWeights.NO_LAYER));
    Network saysTied =
        ofSafetensors(TinyModel.of(Family.LLAMA).config("tie_word_embeddings", true));
    assertNull(saysTied.weights().tensor(WeightRole.OUTPUT, DecoderWeights.NO_LAYER));
  }

  @ParameterizedTest
  @EnumSource
  void readsEveryTensorType(TensorType type) throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.LLAMA)
            .layers(1)
            .hidden(256)
            .heads(4, 2, 64)
            .feedForward(256)
            .types(type, type);
    Network network = ofGguf(tiny);
    assertEquals(type, network.weights().required(WeightRole.GATE, 0).type());
    for (float logit : logits(network, new int[] {1, 2, 3})[2]) {
      assertTrue(Float.isFinite(logit));
    }
  }

  @Test
  void refusesWhatItDoesNotSupport() {
    assertRefused("the architecture phi3", t -> t.gguf("general.architecture", "phi3"));
    assertRefused(
        "supported: llama, qwen2, qwen3, gemma3", t -> t.gguf("general.architecture", "x"));
    assertRefused("mixtures of experts", t -> t.gguf("llama.expert_count", 8));
    assertRefused(
        "rope.scaling.type is longrope", t -> t.gguf("llama.rope.scaling.type", "longrope"));
    assertRefused("the head dimension is 20", t -> t.heads(4, 2, 20));
    assertRefused("the head dimension is 264", t -> t.heads(1, 1, 264));
    assertRefused("attention.causal is false", t -> t.gguf("llama.attention.causal", false));
  }

  @Test
  void refusesImpossibleNumbers() {
    assertRefused("3 heads are not a multiple of 2", t -> t.heads(3, 2, 16));
    String epsilon = "llama.attention.layer_norm_rms_epsilon";
    for (float value : new float[] {Float.NaN, 0, -1e-5f, Float.POSITIVE_INFINITY, 10}) {
      assertRefused("layer_norm_rms_epsilon is " + (double) value, t -> t.gguf(epsilon, value));
    }
    assertRefused("head_count is 0", t -> t.gguf("llama.attention.head_count", 0));
    assertRefused("head_count_kv is 0", t -> t.gguf("llama.attention.head_count_kv", 0));
    assertRefused("block_count is 4294967295", t -> t.gguf("llama.block_count", -1));
    assertRefused("block_count is 1025", t -> t.gguf("llama.block_count", 1025));
    assertRefused("block_count is -1", t -> t.gguf("llama.block_count", -1L));
    assertRefused("context_length is 0", t -> t.gguf("llama.context_length", 0));
    assertRefused("rope.freq_base is NaN", t -> t.gguf("llama.rope.freq_base", Float.NaN));
    assertRefused("expected a whole number", t -> t.gguf("llama.block_count", "two"));
    assertRefused(
        "differs between layers", t -> t.gguf("llama.attention.head_count_kv", new int[] {2, 1}));
  }

  @Test
  void refusesTensorsThatContradictTheConfiguration() {
    assertRefused("tensor blk.2.attn_norm.weight is missing", t -> t.gguf("llama.block_count", 3));
    assertRefused(
        "tensor blk.1.attn_norm.weight has no part in a llama decoder",
        t -> t.gguf("llama.block_count", 1));
    assertRefused(
        "tensor blk.0.ffn_gate.weight has 96 rows of 64; the configuration asks for 97 rows of 64",
        t -> t.gguf("llama.feed_forward_length", 97));
    assertRefused(
        "tensor blk.0.attn_k.weight has 32 rows", t -> t.gguf("llama.attention.head_count_kv", 4));
  }

  private void assertRefused(String reason, java.util.function.UnaryOperator<TinyModel> change) {
    TinyModel tiny = change.apply(TinyModel.of(Family.LLAMA));
    var thrown = assertThrows(ModelFormatException.class, () -> ofGguf(tiny));
    assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
  }

  @Test
  void refusesConfigurationsThatItDoesNotSupport() {
    assertConfigRefused("the architecture phi3 (model_type)", "model_type", "phi3");
    assertConfigRefused("quantised safetensors", "quantization_config", Map.of("bits", 4));
    assertConfigRefused("hidden_act is relu", "hidden_act", "relu");
    assertConfigRefused(
        "the scaling longrope is not supported", "rope_scaling", Map.of("type", "longrope"));
    assertConfigRefused("vocab_size is 321", "vocab_size", 321);
    assertConfigRefused("rms_norm_eps is 0.0", "rms_norm_eps", 0.0);
    assertConfigRefused("hidden_size is missing", "hidden_size", null);
    assertConfigRefused("num_hidden_layers is 0", "num_hidden_layers", 0);
    assertConfigRefused("layer_types has 1 entries", "layer_types", List.of("full_attention"));
    assertConfigRefused("expected an object", "rope_scaling", "linear");
  }

  private void assertConfigRefused(String reason, String key, Object value) {
    TinyModel tiny = TinyModel.of(Family.LLAMA).config(key, value);
    var thrown = assertThrows(ModelFormatException.class, () -> ofSafetensors(tiny));
    assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
  }
}
