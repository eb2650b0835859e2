package dev.tessera.server.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.testing.TinyDecoder;
import dev.tessera.kvcache.DiskTier;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.kvcache.Tier;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// The same requests on real backends, alone and in every company: tokens and log probabilities are
/// the same to the last bit, whatever is found in the cache, preempted, cut into chunks or computed
/// in the same step.
final class EngineDifferentialTest {
  /// @param rows of a step at most: how prompts are cut
  /// @param preemptEvery steps between two forced preemptions; 0 for none
  /// @param slabs of the cache, per layer group
  /// @param together whether all requests run at once, or one after the other
  /// @param hasDisk whether what memory has no room for goes to files
  record Company(int rows, int preemptEvery, int slabs, boolean together, boolean hasDisk) {
    Company(int rows, int preemptEvery, int slabs, boolean together) {
      this(rows, preemptEvery, slabs, together, false);
    }
  }

  @TempDir Path parent;

  private static final int[] SHORT = {1, 63, 64, 65, 130, 190, 90, 150};

  /// Long enough for blocks to cool.
  private static final int[] LONG = {1, 130, 64, 255, 330, 256, 390, 190};

  private static final Company ALONE = new Company(512, 0, 100, false);

  private static final List<Company> COMPANIES =
      List.of(
          new Company(17, 0, 100, false),
          new Company(512, 0, 100, true),
          new Company(48, 0, 100, true),
          new Company(70, 3, 100, true),
          new Company(33, 5, 7, true),
          new Company(90, 5, 7, true, true),
          new Company(64, 0, 7, false, true));

  /// One rung, a ladder of several ages, and layers that differ.
  private static final List<String> COOLING =
      List.of(
          "exact:first=64,last=64;k=i8;v=i8",
          "exact:first=0,last=64;k=p4,p3@128;v=p4,p2@192",
          "exact:first=64,last=64;k=p4;v=p3;layers.0=i8;layers.1.k=exact",
          "exact:first=0,last=64;k=c4;v=pq64;layers.0.k=pq16;layers.1.v=p4,p2@128");

  private static final List<TinyDecoder> DECODERS =
      List.of(
          TinyDecoder.builder().build(1),
          TinyDecoder.builder()
              .layers(3)
              .window(70, 3, 2)
              .types(TensorType.Q8_0, TensorType.Q8_0)
              .headNorms()
              .build(2),
          TinyDecoder.builder()
              .heads(8, 2, 24)
              .types(TensorType.Q4_1, TensorType.Q8_0)
              .bias()
              .tied()
              .build(3));

  static Stream<Object[]> cases() {
    List<Object[]> cases = new ArrayList<>();
    for (BackendProvider provider : Backends.providers()) {
      for (int decoder = 0; decoder < DECODERS.size(); decoder++) {
        cases.add(new Object[] {provider.name(), decoder, "exact"});
        for (String policy : COOLING) {
          cases.add(new Object[] {provider.name(), decoder, policy});
        }
      }
    }
    return cases.stream();
  }

  @ParameterizedTest(name = "{0}, decoder {1}, {2}")
  @MethodSource("cases")
  void theCompanyChangesNothing(String backendName, int index, String policyText)
      throws IOException {
    TinyDecoder decoder = DECODERS.get(index);
    KvPolicy policy =
        assertInstanceOf(PolicySetting.Fixed.class, KvPolicyParser.parse(policyText)).policy();
    try (Backend backend = open(backendName)) {
      List<GenerationRequest> requests =
          requests(decoder.spec().vocabulary(), policy.isExact() ? SHORT : LONG);
      List<List<String>> alone = run(backend, decoder, policy, ALONE, unshared(requests));
      for (Company company : COMPANIES) {
        // Everything twice: the second time the prompts are in the cache, as far as there is room.
        List<GenerationRequest> twice = new ArrayList<>(requests);
        twice.addAll(requests);
        List<List<String>> results = run(backend, decoder, policy, company, twice);
        for (int i = 0; i < twice.size(); i++) {
          int request = i % requests.size();
          assertEquals(alone.get(request), results.get(i), company + ", request " + i);
        }
      }
    }
  }

  /// The requests with a salt each, so that none finds another's blocks.
  private static List<GenerationRequest> unshared(List<GenerationRequest> requests) {
    return requests.stream()
        .map(
            r ->
                new GenerationRequest(
                    r.id(),
                    r.prompt(),
                    r.samples(),
                    r.maxTokens(),
                    r.minTokens(),
                    r.stopTokens(),
                    r.ignoreEos(),
                    r.sampling(),
                    r.priority(),
                    r.id()))
        .toList();
  }

  private static Backend open(String name) {
    BackendProvider provider =
        Backends.providers().stream().filter(p -> p.name().equals(name)).findFirst().orElseThrow();
    return switch (provider.open(new BackendOptions(2, "auto"))) {
      case BackendProvider.Availability.Ready(Backend backend) -> backend;
      case BackendProvider.Availability.Unavailable(String reason) -> abort(name + ": " + reason);
    };
  }

  private static List<GenerationRequest> requests(int vocabulary, int[] lengths) {
    List<GenerationRequest> requests = new ArrayList<>();
    Random random = new Random(11);
    for (int i = 0; i < lengths.length; i++) {
      int family = i % 2;
      int[] prompt = new int[lengths[i]];
      Random text = new Random(family);
      for (int j = 0; j < prompt.length; j++) {
        prompt[j] = text.nextInt(vocabulary);
      }
      requests.add(
          new GenerationRequest(
              "r" + i,
              prompt,
              i == 4 ? 3 : 1,
              8 + 4 * (i % 3),
              i,
              Set.of(),
              i % 2 == 0,
              new SamplingParameters(
                  i % 3 == 0 ? 0 : 0.8f,
                  i % 2 == 0 ? 1 : 0.9f,
                  i % 4 == 1 ? 20 : 0,
                  0,
                  i == 6 ? 0.5f : 0,
                  0,
                  i == 7 ? 1.3f : 1,
                  random.nextLong(),
                  new int[0],
                  new float[0],
                  3,
                  i == 5 ? 2 : -1),
              0,
              ""));
    }
    return requests;
  }

  /// Runs requests and describes what came out of each, bit by bit.
  private List<List<String>> run(
      Backend backend,
      TinyDecoder decoder,
      KvPolicy policy,
      Company company,
      List<GenerationRequest> requests)
      throws IOException {
    // The prompts for exact tiles are shorter: with a disk there is to be too little memory for
    // them.
    int slabs = company.hasDisk() && policy.isExact() ? 4 : company.slabs();
    try (Tier disk =
            company.hasDisk()
                ? DiskTier.scratch(parent, 1 << 30, 1 << 24, Assertions::fail)
                : null;
        SmallEngine engine =
            new SmallEngine(backend, decoder, policy, company.rows(), slabs, disk)) {
      List<TokenQueue> queues = new ArrayList<>();
      for (GenerationRequest request : requests) {
        queues.add(engine.submit(request));
        if (!company.together()) {
          engine.drive(company.preemptEvery());
        }
      }
      engine.drive(company.preemptEvery());
      EngineStats stats = engine.core.stats();
      assertEquals(company == ALONE, stats.prefixHitTokens() == 0, stats.toString());
      int preempted = company.hasDisk() ? 1 : 6; // too little memory keeps the company small
      assertTrue(company.preemptEvery() == 0 || stats.preemptions() >= preempted, stats.toString());
      assertTrue(disk == null || disk.stats().fetched() > 0, stats.toString());
      assertEquals(0, stats.usedBytes());
      engine.cache.checkIntegrity();
      return queues.stream().map(SmallEngine::describe).toList();
    }
  }
}
