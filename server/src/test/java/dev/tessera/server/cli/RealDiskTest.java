package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import dev.tessera.kvcache.TierStats;
import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.EngineListener;
import dev.tessera.server.engine.FinishReason;
import dev.tessera.server.engine.Generation;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.MemoryPlan;
import dev.tessera.server.engine.SamplingParameters;
import dev.tessera.server.engine.TokenEvent;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The default model over a directory that is kept, with memory for two prompts: a third one pushes
/// them out, an orderly end leaves the rest, and damage is computed again.
final class RealDiskTest {
  private static final int PROMPTS = 4;
  private static final int PROMPT_TOKENS = 700;

  /// Whole blocks of a prompt, without the one that its last token is in.
  private static final int FOUND_TOKENS = 640;

  /// The default model's: two matrices of each head's keys.
  private static final long BASES_BYTES = 30L * 3 * 2 * 64 * 64 * Float.BYTES;

  @TempDir Path directory;

  /// @param cached tokens of the prompt that need not be computed
  private record Answer(List<Integer> tokens, int cached) {}

  private LoadedEngine start() throws InterruptedException {
    return LoadedEngine.load(
        Configuration.of(
            Map.of(
                "--model", ReferenceFiles.smolLm2().toString(),
                "--kv-cache", "balanced",
                "--kv-memory", "105M",
                "--kv-disk", "1G",
                "--kv-disk-directory", directory.toString()),
            Map.of(),
            null),
        name -> EngineListener.NONE);
  }

  private static Answer ask(LoadedEngine loaded, int number) throws InterruptedException {
    int[] prompt =
        IntStream.range(0, PROMPT_TOKENS)
            .map(i -> 1000 + (5000 * number + 7 * i) % 40_000)
            .toArray();
    var request =
        new GenerationRequest(
            "r", prompt, 1, 6, 0, Set.of(), true, SamplingParameters.greedy(), 0, "");
    Generation generation =
        assertInstanceOf(Admission.Accepted.class, loaded.engine().submit(request)).generation();
    List<Integer> tokens = new ArrayList<>();
    while (true) {
      TokenEvent event = generation.next(Duration.ofMinutes(2));
      switch (event) {
        case TokenEvent.Token token -> tokens.add(token.token().id());
        case TokenEvent.Finished end -> {
          assertEquals(FinishReason.LENGTH, end.reason());
          return new Answer(tokens, generation.cachedTokens());
        }
        case TokenEvent.PromptToken scored -> fail("nobody asked for " + scored);
        case null -> fail("no token in two minutes");
      }
    }
  }

  private static TierStats disk(LoadedEngine server) {
    return server.engine().stats().tiers().getFirst().stats();
  }

  @Test
  void promptsComeBackFromTheDisk() throws Exception {
    List<Answer> computed = new ArrayList<>();
    try (LoadedEngine server = start()) {
      MemoryPlan memory = server.engine().memory();
      assertTrue(memory.codeBytes() >= BASES_BYTES, memory.toString());
      for (int i = 0; i < PROMPTS; i++) {
        computed.add(ask(server, i));
        assertEquals(0, computed.getLast().cached);
      }
      assertTrue(disk(server).stored() > 0, "nothing was evicted: " + memory);
      assertEquals(new Answer(computed.getFirst().tokens, FOUND_TOKENS), ask(server, 0));
      assertTrue(disk(server).fetched() > 0, disk(server).toString());
    }

    try (LoadedEngine server = start()) {
      for (int i = 0; i < PROMPTS; i++) {
        Answer again = ask(server, i);
        String what = "prompt %d: %s".formatted(i, server.engine().stats());
        assertEquals(new Answer(computed.get(i).tokens, FOUND_TOKENS), again, what);
      }
      assertEquals(0, disk(server).damaged());
    }

    damage();
    try (LoadedEngine server = start()) {
      assertEquals(computed.getFirst(), ask(server, 0));
      assertTrue(disk(server).damaged() > 0, disk(server).toString());
    }
  }

  private void damage() throws IOException {
    try (var files = Files.newDirectoryStream(directory, "*.slab")) {
      for (Path file : files) {
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
      }
    }
  }
}
