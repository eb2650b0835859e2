package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.ModelFormatException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HuggingFaceTokenizerTest {
  /// `ab` merges; `<s>` is special, `<u>` is not, `<r>` takes the white space behind it.
  private static final String SOUND =
      """
      {"version": "1.0",
       "added_tokens": [
         {"id": 4, "content": "<s>", "special": true, "normalized": false},
         {"id": 5, "content": "<u>", "special": false, "normalized": false},
         {"id": 6, "content": "<r>", "special": false, "normalized": false, "rstrip": true},
         {"id": 7, "content": "<l>", "special": false, "normalized": true, "lstrip": true}],
       "normalizer": {"type": "Lowercase"},
       "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
         "special_tokens": {"<s>": {"id": "<s>", "ids": [4], "tokens": ["<s>"]}}},
       "decoder": {"type": "ByteLevel"},
       "model": {"type": "BPE", "unk_token": null, "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3},
         "merges": [["a", "b"]]}}
      """;

  @TempDir Path directory;

  @BeforeEach
  void writeASoundOne() throws Exception {
    write("tokenizer.json", SOUND);
  }

  private void write(String name, String text) throws Exception {
    Files.writeString(directory.resolve(name), text);
  }

  private Tokenizer read() throws ModelFormatException {
    return Tokenizers.fromHuggingFace(directory);
  }

  private String refusal() {
    String message = assertThrows(ModelFormatException.class, this::read).getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  @Test
  void encodesWithItsTemplateAndNormalizer() throws Exception {
    assertArrayEquals(new int[] {4, 2, 3, 0}, read().encode("AB a", true, false));
    assertEquals("ab a", read().decode(new int[] {4, 2, 3, 0}, true));
  }

  @Test
  void addedTokensKeepTheirFlags() throws Exception {
    assertArrayEquals(new int[] {0, 3, 6, 1}, read().encode("a <r>  b", false, false));
    assertArrayEquals(new int[] {0, 7, 3, 1}, read().encode("a  <L> b", false, false));
    assertArrayEquals(new int[] {4, 5}, read().encode("<s><u>", false, true));
    assertArrayEquals(new int[] {5}, read().encode("<s><u>", false, false));
  }

  @Test
  void configurationsNameTheSpecialTokens() throws Exception {
    write(
        "tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"<u>\"}}");
    write("generation_config.json", "{\"eos_token_id\": [6, 7]}");
    assertEquals(OptionalInt.of(4), read().beginOfSequence());
    assertEquals(OptionalInt.of(5), read().endOfSequence());
    assertEquals(Set.of(5, 6, 7), read().endOfGeneration());
    write("generation_config.json", "{\"eos_token_id\": 99}");
    assertTrue(refusal().contains("99"));
  }

  @Test
  void withoutGenerationConfigTheModelsConfigSaysWhereItEnds() throws Exception {
    write("config.json", "{\"eos_token_id\": 7}");
    assertEquals(Set.of(7), read().endOfGeneration());
  }

  @Test
  void llamaClassesTakeTheirTemplateFromSettings() throws Exception {
    write(
        "tokenizer_config.json",
        "{\"tokenizer_class\": \"LlamaTokenizerFast\", \"bos_token\": \"<u>\","
            + " \"eos_token\": \"<s>\", \"add_bos_token\": true, \"add_eos_token\": true}");
    assertArrayEquals(new int[] {5, 0, 4}, read().encode("a", true, false));
    write("tokenizer_config.json", "{\"tokenizer_class\": \"Llama\", \"add_bos_token\": false}");
    assertArrayEquals(new int[] {0}, read().encode("a", true, false));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      value = {
        "\"Lowercase\" # \"BertNormalizer\" # BertNormalizer",
        "\"ByteLevel\", \"add_prefix_space\": false # \"Whitespace\", \"x\": false # Whitespace",
        "\"type\": \"TemplateProcessing\" # \"type\": \"BertProcessing\" # BertProcessing",
        "\"BPE\" # \"WordPiece\" # WordPiece",
        "[\"a\", \"b\"] # [\"a\", \"zz\"] # 'zz'",
        "[\"a\", \"b\"] # \"a b c\" # a b c",
        "[\"a\", \"b\"] # [\"a\"] # merge",
        "\"ab\": 2 # \"ab\": 1 # id 1",
        "\"ab\": 2 # \"ab\": -2 # -2",
        "\"ab\": 2 # \"ab\": 2000000000 # 2,000,000,000",
        "\"ab\": 2 # \"ab\": 99999999999 # tokenizer.json",
        "\"ab\": 2 # \"ab\": \"2\" # id in model.vocab",
        "\"ids\": [4] # \"ids\": [44] # 44",
        "\"unk_token\": null # \"dropout\": 0.5 # dropout",
        "\"unk_token\": null # \"end_of_word_suffix\": \"</w>\" # end_of_word_suffix",
        "\"id\": 4, # # added_tokens",
        "{\"version\" # {version # line 1",
      })
  void refusesWhatItDoesNotKnow(String sound, String damaged, String named) throws Exception {
    assertTrue(SOUND.contains(sound.strip()), sound);
    write("tokenizer.json", SOUND.replace(sound.strip(), damaged == null ? "" : damaged.strip()));
    String message = refusal();
    assertTrue(message.contains(named.strip()), message);
  }

  @Test
  void refusesAnUnknownPatternByItsText() throws Exception {
    write(
        "tokenizer.json",
        SOUND.replace(
            "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}",
            "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a+)+$\"}, \"behavior\":"
                + " \"Isolated\"}"));
    assertTrue(refusal().contains("(a+)+$"));
  }

  @Test
  void refusesAMissingOrTruncatedFile() throws Exception {
    write("tokenizer.json", SOUND.substring(0, 500));
    assertTrue(refusal().contains("tokenizer.json"));
    Files.delete(directory.resolve("tokenizer.json"));
    assertTrue(refusal().contains("missing"));
  }

  @Test
  void refusesAFileThatIsNotUtf8() throws Exception {
    Files.writeString(directory.resolve("tokenizer.json"), SOUND, StandardCharsets.UTF_16);
    assertTrue(refusal().contains("tokenizer.json"));
    Files.write(directory.resolve("tokenizer.json"), new byte[] {'{', '"', (byte) 0xFF, '"'});
    assertTrue(refusal().contains("UTF-8"));
  }

  @Test
  void nestsOnlySoDeep() throws Exception {
    write("tokenizer.json", "{\"normalizer\":" + "[".repeat(100_000));
    assertTrue(refusal().contains("tokenizer.json"));
  }
}
