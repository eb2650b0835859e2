package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.DiskTier;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.TierStats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Prompts whose blocks went to a directory of files are answered the same from there by the next
/// process, and the same once more where the files are damaged.
final class EngineDiskTest {
  private static final TinyDecoder DECODER =
      TinyDecoder.builder().layers(3).window(70, 3, 2).build(5);

  @TempDir Path directory;
  private final List<String> warnings = Collections.synchronizedList(new ArrayList<>());

  /// What a process did.
  ///
  /// @param hitTokens prompt tokens that need not be computed
  private record Outcome(List<String> answer, long hitTokens, TierStats disk) {}

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exact",
        "exact:first=64,last=64;k=i8;v=i8",
        "exact:first=0,last=64;k=p4,p3@128;v=p4,p2@192"
      })
  void whatIsOnDiskIsFoundAgainOrComputedAgain(String policyText) throws IOException {
    KvPolicy policy =
        assertInstanceOf(PolicySetting.Fixed.class, KvPolicyParser.parse(policyText)).policy();
    Outcome first = process(policy, true);
    assertEquals(0, first.hitTokens);
    assertTrue(first.disk.stored() >= 6, first.toString());

    Outcome second = process(policy, false);
    assertEquals(first.answer, second.answer);
    assertEquals(384, second.hitTokens, second.toString());
    assertTrue(second.disk.fetched() >= 6 && second.disk.lost() == 0, second.toString());
    assertEquals(List.of(), warnings);

    damage(bytes -> bytes[bytes.length / 2] ^= 1);
    Outcome third = process(policy, false);
    assertEquals(first.answer, third.answer);
    assertEquals(0, third.hitTokens);
    assertTrue(third.disk.lost() > 0 && third.disk.fetched() == 0, third.toString());
    assertTrue(warnings.getFirst().contains("does not have its checksum"), warnings::toString);
  }

  private void damage(Consumer<byte[]> change) throws IOException {
    try (var files = Files.newDirectoryStream(directory, "*.slab")) {
      for (Path file : files) {
        byte[] bytes = Files.readAllBytes(file);
        change.accept(bytes);
        Files.write(file, bytes);
      }
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }

  /// Answers a prompt of 390 tokens, and then perhaps others, for which memory has to be made.
  private Outcome process(KvPolicy policy, boolean others) throws IOException {
    try (Backend backend = Backends.choose(Backends.AUTO, new BackendOptions(2, "auto")).backend();
        DiskTier disk = DiskTier.keep(directory, 1 << 30, 1 << 24, warnings::add);
        SmallEngine engine = new SmallEngine(backend, DECODER, policy, 100, 9, disk)) {
      TokenQueue queue = engine.submit(request(1));
      engine.drive(0);
      long hits = engine.core.stats().prefixHitTokens();
      for (int other = 2; others && other <= 4; other++) {
        engine.submit(request(other));
        engine.drive(0);
      }
      engine.cache.checkIntegrity();
      return new Outcome(SmallEngine.describe(queue), hits, disk.stats());
    }
  }

  private static GenerationRequest request(int seed) {
    Requests requests = new Requests();
    requests.prompt = new Random(seed).ints(390, 0, DECODER.spec().vocabulary()).toArray();
    return requests.id("r" + seed).maxTokens(12).build();
  }
}
