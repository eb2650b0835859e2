package dev.tessera.models.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.tessera.models.hub.ModelReference.HubRepository;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ModelReferenceTest {

  @Test
  void tellsPathsFromRepositories(@TempDir Path directory) {
    assertEquals(new ModelReference.Default(), ModelReference.parse(null));
    assertEquals(new ModelReference.Default(), ModelReference.parse(" "));
    assertEquals(
        new ModelReference.GgufFile(Path.of("a/b.gguf")), ModelReference.parse("a/b.gguf"));
    assertEquals(
        new ModelReference.Directory(directory), ModelReference.parse(directory.toString()));
    assertEquals(
        new HubRepository("org/repo-1.5B", null), ModelReference.parse("hf:org/repo-1.5B"));
    assertEquals(
        new HubRepository("org/repo", "sub/file.Q8_0.gguf"),
        ModelReference.parse("hf:org/repo:sub/file.Q8_0.gguf"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "hf:",
        "hf:repo",
        "hf:/repo",
        "hf:org/",
        "hf:org/repo/more",
        "hf:../repo",
        "hf:org/..",
        "hf:org/repo:",
        "hf:org/repo:../../etc/passwd",
        "hf:org/repo:a/../b",
        "hf:org/repo:/etc/passwd",
        "hf:org/repo:a\\b",
        "hf:org/repo:a:b",
        "hf:org/repo:a\u0000b",
        "hf:org/repo:a%2e%2e",
        "hf:org/repo:.hidden",
        "hf:org/repo:-dash",
        "hf:org/re po",
        "hf:user@host/repo",
        "hf:org/repo?x",
        "hf:org/repo#x",
      })
  void refusesNamesThatCouldLeaveTheirPlace(String text) {
    var thrown = assertThrows(IllegalArgumentException.class, () -> ModelReference.parse(text));
    assertFalse(thrown.getMessage().chars().anyMatch(Character::isISOControl));
  }

  @Test
  void refusesEndlessNames() {
    assertThrows(
        IllegalArgumentException.class, () -> ModelReference.parse("hf:org/" + "a".repeat(10_000)));
  }
}
