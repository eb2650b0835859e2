package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.MissingNode;
import dev.tessera.models.gguf.GgufFile;
import dev.tessera.models.testing.ReferenceFiles;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Every family on [MixedText], token by token, against reference tokens in the resources: of the
/// package `tokenizers` where the original `tokenizer.json` could be had, else of llama.cpp on its
/// vocabulary. `src/test/python/tokenize_reference.py` makes them.
class MixedTextTest {
  private static final List<String> SEGMENTS = MixedText.segments();

  @Test
  void isAMegabyteOfText() {
    long bytes = SEGMENTS.stream().mapToLong(s -> s.getBytes(StandardCharsets.UTF_8).length).sum();
    assertTrue(bytes > 1_000_000, "only " + bytes + " bytes");
  }

  @ParameterizedTest
  @CsvSource({
    "gpt-2, gpt2",
    "llama-3, llama3",
    "qwen-2, qwen2_5",
    "deepseek-v3, deepseek_v3",
    "mistral-nemo, mistral_nemo",
    "mistral, llama2", // the package's vocabulary is Mistral's, whatever its name
    "gemma, gemma",
    "gemma-3, gemma3",
  })
  void tokenizesAsTheOriginalTokenizerJson(String family, String packageName) throws Exception {
    Path file = ReferenceFiles.tokenizer(packageName, "tokenizer.json");
    check(family, Tokenizers.fromHuggingFace(Objects.requireNonNull(file.getParent())));
  }

  @ParameterizedTest
  @CsvSource({
    "gpt-2, gpt-2",
    "llama-2, llama-spm",
    "llama-3, llama-bpe",
    "qwen-2, qwen2",
    "deepseek-llm, deepseek-llm",
    "deepseek-coder, deepseek-coder",
    "phi-3, phi-3",
    "xlm-roberta, nomic-bert-moe", // unigram with a compiled character map
  })
  void tokenizesTheSameFromGguf(String family, String vocabulary) throws Exception {
    check(family, fromGguf(ReferenceFiles.llamaCpp("ggml-vocab-" + vocabulary + ".gguf")));
  }

  @Test
  void tokenizesAsSmolLm2() throws Exception {
    check("smollm2", fromGguf(ReferenceFiles.smolLm2()));
  }

  /// A unigram model of our own, trained by the package `tokenizers` on the samples.
  @Test
  void tokenizesAsUnigram() throws Exception {
    try (InputStream json = MixedTextTest.class.getResourceAsStream("unigram.json")) {
      check(
          "unigram",
          HuggingFaceTokenizer.read(
              Objects.requireNonNull(json), MissingNode.getInstance(), MissingNode.getInstance()));
    }
  }

  private static Tokenizer fromGguf(Path file) throws Exception {
    try (GgufFile gguf = GgufFile.open(file)) {
      return Tokenizers.fromGguf(gguf.metadata());
    }
  }

  private static void check(String family, Tokenizer tokenizer) throws Exception {
    List<String> expected;
    try (InputStream reference =
        MixedTextTest.class.getResourceAsStream("reference/" + family + ".txt")) {
      byte[] bytes = Objects.requireNonNull(reference, family).readAllBytes();
      expected = new String(bytes, StandardCharsets.UTF_8).lines().toList();
    }
    assertEquals(expected.size(), SEGMENTS.size());
    for (int i = 0; i < SEGMENTS.size(); i++) {
      int[] tokens = tokenizer.encode(SEGMENTS.get(i), false, false);
      String text = SEGMENTS.get(i);
      assertEquals(
          expected.get(i),
          digest(tokens),
          () -> "%s: %s of: %s".formatted(family, Arrays.toString(tokens), text));
    }
  }

  private static String digest(int[] tokens) throws Exception {
    ByteBuffer bytes = ByteBuffer.allocate(4 * tokens.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(tokens);
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(bytes.array());
    return tokens.length + " " + HexFormat.of().formatHex(hash, 0, 6);
  }
}
