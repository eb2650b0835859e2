package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.TensorType;
import dev.tessera.models.testing.TinyModel;
import dev.tessera.models.testing.TinyModel.Family;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ModelsTest {
  @TempDir Path directory;

  private static final Map<String, Object> CONVERSATION =
      Map.of(
          "messages",
          List.of(Map.of("role", "user", "content", "hello world")),
          "add_generation_prompt",
          true);

  @ParameterizedTest
  @EnumSource
  void bothFormatsOfAModelReadAlike(Family family) throws Exception {
    TinyModel tiny = TinyModel.of(family);
    Path file = tiny.writeGguf(directory.resolve("tiny.gguf"));
    Path folder = tiny.writeSafetensors(directory.resolve("tiny"));
    try (Model gguf = Models.open(file);
        Model safetensors = Models.open(folder)) {
      assertEquals(gguf.parameters(), safetensors.parameters());
      assertEquals(gguf.spec().layers(), safetensors.spec().layers());
      assertEquals(gguf.spec().kv(), safetensors.spec().kv());
      String text = "Hello the world\n and 日本";
      assertArrayEquals(
          gguf.tokenizer().encode(text, false, true),
          safetensors.tokenizer().encode(text, false, true));
      String prompt = Objects.requireNonNull(gguf.chatTemplate()).render(CONVERSATION);
      assertEquals("<|im_start|>user\nhello world<|im_end|>\n<|im_start|>assistant\n", prompt);
      assertEquals(prompt, Objects.requireNonNull(safetensors.chatTemplate()).render(CONVERSATION));
      assertFalse(Arrays.equals(gguf.fingerprint(), safetensors.fingerprint()));
    }
  }

  @Test
  void saysWhatItIs() throws Exception {
    TinyModel tiny = TinyModel.of(Family.LLAMA).types(TensorType.Q4_1, TensorType.Q8_0);
    Path file = tiny.writeGguf(directory.resolve("tiny.gguf"));
    try (Model model = Models.open(file)) {
      assertEquals("Tiny llama", model.name());
      assertEquals(Files.size(file), model.fileBytes());
      assertTrue(model.description().startsWith("llama, 2 layers, 0."), model.description());
      assertTrue(model.description().contains("Q4_1"), model.description());
    }
  }

  @Test
  void aNameCannotForgeALineOfTheLog() throws Exception {
    TinyModel tiny = TinyModel.of(Family.LLAMA).gguf("general.name", "good\nERROR bad");
    try (Model model = Models.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      assertEquals("good\\u{a}ERROR bad", model.name());
    }
  }

  @Test
  void fineTunesOfOneModelHaveDifferentFingerprints() throws Exception {
    byte[] base = fingerprint(TinyModel.of(Family.LLAMA).seed(1));
    assertArrayEquals(base, fingerprint(TinyModel.of(Family.LLAMA).seed(1)));
    assertFalse(Arrays.equals(base, fingerprint(TinyModel.of(Family.LLAMA).seed(2))));
    assertFalse(
        Arrays.equals(base, fingerprint(TinyModel.of(Family.LLAMA).gguf("general.name", "other"))));
    assertEquals(32, base.length);
  }

  private byte[] fingerprint(TinyModel tiny) throws Exception {
    try (Model model = Models.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      return model.fingerprint();
    }
  }

  @Test
  void readsWhatTheFileRecommends() throws Exception {
    TinyModel tiny =
        TinyModel.of(Family.LLAMA)
            .gguf("general.sampling.temp", 0.5f)
            .gguf("general.sampling.top_k", 20);
    try (Model model = Models.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      assertEquals(new SamplingDefaults(0.5f, 20, null, null, null), model.samplingDefaults());
    }
    try (Model model = Models.open(tiny.writeSafetensors(directory))) {
      assertEquals(new SamplingDefaults(0.7f, null, 0.9f, null, null), model.samplingDefaults());
    }
    assertRefused(
        "general.sampling.temp is NaN",
        TinyModel.of(Family.LLAMA).gguf("general.sampling.temp", Float.NaN));
  }

  @Test
  void aModelMayHaveNoTemplate() throws Exception {
    TinyModel tiny = TinyModel.of(Family.LLAMA).withoutChatTemplate();
    try (Model model = Models.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      assertNull(model.chatTemplate());
    }
  }

  @Test
  void aTemplateFileComesBeforeTheTokenizersOwn() throws Exception {
    Path folder = TinyModel.of(Family.LLAMA).writeSafetensors(directory);
    Files.writeString(folder.resolve("chat_template.jinja"), "from the file");
    try (Model model = Models.open(folder)) {
      assertEquals("from the file", Objects.requireNonNull(model.chatTemplate()).source());
    }
  }

  @Test
  void ofNamedTemplatesTheDefaultCounts() throws Exception {
    Path folder = TinyModel.of(Family.LLAMA).writeSafetensors(directory);
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        """
        {"chat_template": [{"name": "tool_use", "template": "tools"},
                           {"name": "default", "template": "plain"}]}
        """);
    try (Model model = Models.open(folder)) {
      assertEquals("plain", Objects.requireNonNull(model.chatTemplate()).source());
    }
  }

  @Test
  void refusesTemplatesThatItCannotRun() {
    assertRefused(
        "line 2",
        TinyModel.of(Family.LLAMA).gguf("tokenizer.chat_template", "a\n{% include 'x' %}"));
  }

  @Test
  void theEmbeddingMayHaveMoreRowsThanThereAreTokens() throws Exception {
    TinyModel tiny = TinyModel.of(Family.LLAMA).vocabulary(352);
    try (Model model = Models.open(tiny.writeGguf(directory.resolve("tiny.gguf")))) {
      assertEquals(352, model.spec().vocabulary());
      assertEquals(320, model.tokenizer().vocabularySize());
    }
    assertRefused(
        "the tokenizer has 320 tokens, but the embedding only 319 rows",
        TinyModel.of(Family.LLAMA).vocabulary(319));
  }

  @Test
  void refusesWhatIsNoModel() throws Exception {
    assertOpenRefused("no such file or directory", directory.resolve("missing.gguf"));
    assertOpenRefused("expected config.json and model.safetensors", directory);
    Path empty = Files.createFile(directory.resolve("empty.gguf"));
    assertOpenRefused("empty.gguf: ", empty);
  }

  private void assertRefused(String reason, TinyModel tiny) {
    var thrown =
        assertThrows(
            ModelFormatException.class,
            () -> Models.open(tiny.writeGguf(directory.resolve("bad.gguf"))));
    assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
    assertTrue(thrown.getMessage().contains("bad.gguf"), thrown.getMessage());
  }

  private static void assertOpenRefused(String reason, Path path) {
    var thrown = assertThrows(ModelFormatException.class, () -> Models.open(path));
    assertNotNull(thrown.getMessage());
    assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
  }
}
