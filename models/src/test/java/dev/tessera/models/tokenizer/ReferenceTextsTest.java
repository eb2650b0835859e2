package dev.tessera.models.tokenizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.models.gguf.GgufFile;
import dev.tessera.models.testing.ReferenceFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The hand-picked texts that llama.cpp keeps beside its vocabularies.
class ReferenceTextsTest {

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gpt-2",
        "llama-bpe",
        "llama-spm",
        "qwen2",
        "qwen35",
        "deepseek-llm",
        "deepseek-coder",
        "phi-3",
        "falcon",
        "command-r",
        "mpt",
        "refact",
        "starcoder",
        "gemma-4"
      })
  void encodesAsTheReferenceAndDecodesToTheText(String vocabulary) throws Exception {
    Path file = ReferenceFiles.llamaCpp("ggml-vocab-" + vocabulary + ".gguf");
    Tokenizer tokenizer;
    try (GgufFile gguf = GgufFile.open(file)) {
      tokenizer = Tokenizers.fromGguf(gguf.metadata());
    }
    String[] texts =
        Files.readString(ReferenceFiles.llamaCpp(file.getFileName() + ".inp"))
            .split("\n__ggml_vocab_test__\n", -1);
    List<String> expected =
        Files.readString(ReferenceFiles.llamaCpp(file.getFileName() + ".out"))
            .lines()
            .map(String::strip)
            .toList();
    assertTrue(texts.length > 40, "only " + texts.length + " texts");
    for (int i = 0; i < texts.length; i++) {
      int[] tokens = tokenizer.encode(texts[i], false, false);
      // Qwen composes characters first: its reference was made by llama.cpp, which does not.
      boolean composes = vocabulary.startsWith("qwen");
      String text = composes ? Normalizer.normalize(texts[i], Normalizer.Form.NFC) : texts[i];
      if (text.equals(texts[i])) {
        String ids =
            Arrays.stream(tokens).mapToObj(Integer::toString).collect(Collectors.joining(" "));
        // The last text is empty, and so the file ends without its line.
        assertEquals(
            i < expected.size() ? expected.get(i) : "", ids, () -> "the tokens of: " + text);
      }
      assertEquals(text, tokenizer.decode(tokens, false));
    }
  }
}
