package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HuggingFaceTemplateTest {
  @TempDir Path directory;

  private void configure(String json) throws IOException {
    Files.writeString(directory.resolve("tokenizer_config.json"), json);
  }

  @Test
  void findsNoneInAnEmptyDirectory() throws Exception {
    assertNull(HuggingFaceTemplate.source(directory));
    assertNull(HuggingFaceTemplate.toolUse(directory));
  }

  @Test
  void readsTheConfiguredText() throws Exception {
    configure("{\"chat_template\": \"x\"}");
    assertEquals("x", HuggingFaceTemplate.source(directory));
    assertNull(HuggingFaceTemplate.toolUse(directory));
  }

  @Test
  void readsNamedTemplates() throws Exception {
    configure(
        """
        {"chat_template": [{"name": "tool_use", "template": "t"},
                           {"name": "default", "template": "d"}]}\
        """);
    assertEquals("d", HuggingFaceTemplate.source(directory));
    assertEquals("t", HuggingFaceTemplate.toolUse(directory));
  }

  @Test
  void refusesNamedTemplatesWithoutADefault() throws Exception {
    configure(
        """
        {"chat_template": [{"name": "a", "template": "t"}, {"name": "b", "template": "d"}]}\
        """);
    assertThrows(ModelFormatException.class, () -> HuggingFaceTemplate.source(directory));
  }

  @Test
  void prefersTheFiles() throws Exception {
    configure("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"old\"}]}");
    Files.writeString(directory.resolve("chat_template.jinja"), "file");
    assertEquals("file", HuggingFaceTemplate.source(directory));
    assertNull(HuggingFaceTemplate.toolUse(directory));
    Files.createDirectory(directory.resolve("additional_chat_templates"));
    Files.writeString(directory.resolve("additional_chat_templates/tool_use.jinja"), "tools");
    assertEquals("tools", HuggingFaceTemplate.toolUse(directory));
  }
}
