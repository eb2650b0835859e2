package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.code_intelligence.jazzer.api.FuzzedDataProvider;
import com.code_intelligence.jazzer.junit.FuzzTest;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.tessera.models.ModelFormatException;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.util.Objects;

/// The build runs the stored inputs; `.ci/fuzz` searches.
class TokenizerFuzzTest {

  /// Any bytes are a tokenizer or one clear line.
  @FuzzTest
  void readsOrRefusesTokenizerJson(byte[] file) throws Exception {
    try {
      Tokenizer tokenizer =
          HuggingFaceTokenizer.read(
              new ByteArrayInputStream(file), MissingNode.getInstance(), MissingNode.getInstance());
      tokenizer.decode(tokenizer.encode("Hello <s> world 12\n", true, true), false);
    } catch (ModelFormatException e) {
      assertEquals(1, e.getMessage().lines().count());
    }
  }

  /// What is encoded decodes to itself, by every path.
  @FuzzTest
  void decodesWhatItEncoded(FuzzedDataProvider data) {
    String text = data.consumeRemainingAsString();
    String expected = text.replaceAll("[\\x{D800}-\\x{DFFF}]", "\uFFFD");
    for (boolean parseSpecial : new boolean[] {false, true}) {
      int[] tokens = Bytes.TOKENIZER.encode(text, false, parseSpecial);
      assertEquals(expected, Bytes.TOKENIZER.decode(tokens, false));
      TokenStream stream = Bytes.TOKENIZER.stream(false);
      StringBuilder streamed = new StringBuilder();
      for (int token : tokens) {
        streamed.append(stream.append(token));
      }
      assertEquals(expected, streamed.append(stream.flush()).toString());
    }
  }

  /// A tokenizer of all 256 bytes and a few merges.
  private static final class Bytes {
    static final Tokenizer TOKENIZER = make();

    private static Tokenizer make() {
      StringBuilder vocabulary = new StringBuilder();
      for (int b = 0; b < 256; b++) {
        String escaped = "\\u%04x".formatted((int) ByteAlphabet.character(b));
        vocabulary.append("\"").append(escaped).append("\":").append(b).append(',');
      }
      String json =
          """
          {"added_tokens": [{"id": 258, "content": "<s>", "special": true}],
           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
           "model": {"vocab": {%s "aa": 256, "aaa": 257}, "merges": ["a a", "aa a"]}}
          """
              .formatted(vocabulary);
      try (InputStream input = new ByteArrayInputStream(json.getBytes("UTF-8"))) {
        return Objects.requireNonNull(
            HuggingFaceTokenizer.read(input, MissingNode.getInstance(), MissingNode.getInstance()));
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
  }
}
