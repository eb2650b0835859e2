package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.DiskTier;
import dev.tessera.kvcache.HashChain;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.Recall;
import dev.tessera.kvcache.TierStats;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
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
    assertTrue(third.disk.damaged() > 0 && third.disk.fetched() == 0, third.toString());
    assertTrue(warnings.getFirst().contains("does not have its checksum"), warnings::toString);
  }

  /// Nothing was evicted: what the next process finds was handed over at the end.
  @ParameterizedTest
  @ValueSource(strings = {"exact", "exact:first=64,last=64;k=i8;v=i8"})
  void anOrderlyEndLeavesWhatMemoryHolds(String policyText) throws Exception {
    KvPolicy policy =
        assertInstanceOf(PolicySetting.Fixed.class, KvPolicyParser.parse(policyText)).policy();
    List<String> answer;
    try (Backend backend = Backends.choose(Backends.AUTO, new BackendOptions(2, "auto")).backend();
        DiskTier disk = DiskTier.keep(directory, 1 << 30, 1 << 18, warnings::add);
        SmallEngine engine = new SmallEngine(backend, DECODER, policy, 100, 100, disk)) {
      TokenQueue queue = engine.submit(request(1));
      engine.drive(0);
      assertEquals(0, disk.stats().stored());
      int slabs = engine.core.lower(Duration.ofSeconds(30));
      assertTrue(slabs >= 6, slabs + " slabs");
      assertEquals(slabs, engine.core.lower(Duration.ofSeconds(30)), "they are there already");
      assertEquals(0, engine.core.lower(Duration.ZERO), "no time");
      answer = SmallEngine.describe(queue);
    }
    Outcome second = process(policy, false);
    assertEquals(answer, second.answer);
    assertEquals(384, second.hitTokens, second.toString());
    assertEquals(List.of(), warnings);
  }

  @Test
  void whatIsSoonerComputedIsNotReadButLookedAtNowAndThen() throws Exception {
    process(KvPolicy.EXACT, true);
    try (Backend backend = Backends.choose(Backends.AUTO, new BackendOptions(2, "auto")).backend();
        DiskTier disk = DiskTier.keep(directory, 1 << 30, 1 << 24, warnings::add);
        SmallEngine engine = new SmallEngine(backend, DECODER, KvPolicy.EXACT, 100, 9, disk)) {
      int[] tokens = request(1).prompt();
      HashChain chain = new HashChain(engine.cache.root(""));
      List<String> asked = new ArrayList<>();
      Recall.Worth never = (nanos, from, to) -> !asked.add(nanos + " " + from + " " + to);
      for (int i = 1; i < 16; i++) {
        assertNull(engine.cache.recall(chain, tokens, tokens.length, never));
      }
      assertEquals("0.0 0 384", asked.getFirst());
      Recall recall = engine.cache.recall(chain, tokens, tokens.length, never);
      assertNotNull(recall, "it may have become faster");
      engine.cache.abandon(recall);
      assertNull(engine.cache.recall(chain, tokens, tokens.length, never));
      KvStats.TierUse use = engine.cache.stats().tiers().getFirst();
      assertEquals(new KvStats.RecallStats(1, 0, 17), use.recalls());
      engine.cache.checkIntegrity();
    }
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
