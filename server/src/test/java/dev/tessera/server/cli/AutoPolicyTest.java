package dev.tessera.server.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kvcache.FormLayout;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.TileShape;
import dev.tessera.models.Model;
import dev.tessera.models.Models;
import dev.tessera.models.calibration.LearnedFiles;
import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.server.eval.AutoPolicy;
import dev.tessera.server.testing.Forwarding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.DoubleConsumer;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// `--kv-cache auto` on the default model: three starts, the last of which finds a damaged file. It
/// measures on fewer tokens than a server does.
final class AutoPolicyTest {
  private static final double BITS = 3.4;

  @TempDir Path folder;
  private final AtomicInteger sessions = new AtomicInteger();
  private final List<String> tables = new ArrayList<>();

  @Test
  void keepsItsBudgetAndRemembersWhatItMeasured() throws Exception {
    Path file = folder.resolve("model.gguf");
    Files.createSymbolicLink(file, ReferenceFiles.smolLm2());
    var options = new BackendOptions(Runtime.getRuntime().availableProcessors(), "auto");
    try (Backend backend = Backends.choose(Backends.AUTO, options).backend();
        Model model = Models.open(file);
        var log = new Heard()) {
      KvPolicy first = start(backend, model, file);
      assertTrue(sessions.getAndSet(0) > 0, "nothing was measured");
      assertTrue(bits(first, backend, model, file) <= BITS, first.text());
      List<String> lines = tables.getFirst().lines().toList();
      assertEquals(1 + model.spec().layers().size() + 1, lines.size(), tables.getFirst());
      assertTrue(lines.getLast().contains(first.text()), lines.getLast());
      assertEquals(List.of(), log.lines);

      sessions.set(0);
      assertEquals(first, start(backend, model, file));
      assertEquals(0, sessions.get(), "measured again");
      assertEquals(tables.getFirst(), tables.getLast());

      Path measured = measured();
      byte[] bytes = Files.readAllBytes(measured);
      bytes[bytes.length - 9] ^= 1;
      Files.write(measured, bytes);
      assertEquals(first, start(backend, model, file));
      assertTrue(sessions.getAndSet(0) > 0, "believed a damaged file");
      assertEquals(List.of(measured + " is damaged; learning again"), log.lines);

      assertEquals(first, start(backend, model, file));
      assertEquals(0, sessions.get(), "did not mend the file");
    }
  }

  private KvPolicy start(Backend backend, Model model, Path file) {
    return KeyLearning.policy(
        KvPolicyParser.parse("auto:bits=" + BITS),
        counting(backend),
        model,
        file,
        model.spec().maxPositions(),
        new AutoPolicy.Size(448, 16, 24),
        new Progress(),
        tables::add);
  }

  /// The same backend, but for counting the sessions that are loaded.
  private Backend counting(Backend backend) {
    return Forwarding.to(
        Backend.class,
        backend,
        Map.of(
            "load",
            given -> {
              sessions.incrementAndGet();
              return backend.load(
                  (DecoderSpec) given[0],
                  (DecoderWeights) given[1],
                  (SessionLimits) given[2],
                  (DoubleConsumer) given[3]);
            }));
  }

  private Path measured() throws IOException {
    try (var files = Files.newDirectoryStream(folder, ".tessera-auto-*")) {
      return files.iterator().next();
    }
  }

  /// Stored bits of a cold element.
  private double bits(KvPolicy policy, Backend backend, Model model, Path file) {
    var spec = model.spec();
    FormLayout layout =
        new FormFactory(
                FormPlan.of(policy, spec.kv()),
                spec,
                List.of(backend.exactSlabs(spec)),
                KeyLearning.of(policy, backend, model, file, spec.maxPositions(), new Progress()))
            .create(1L << 30)
            .of(0)
            .getLast()
            .layout();
    double elements =
        2.0 * TileShape.BLOCK_TOKENS * spec.layers().size() * spec.kvHeads() * spec.headDim();
    return 8 * layout.slabBytes() / elements;
  }

  /// What is logged of learned files.
  private static final class Heard extends Handler implements AutoCloseable {
    private final Logger logger = Logger.getLogger(LearnedFiles.class.getName());
    private final List<String> lines = new ArrayList<>();

    Heard() {
      logger.addHandler(this);
    }

    @Override
    public void publish(LogRecord line) {
      lines.add(new SimpleFormatter().formatMessage(line));
    }

    @Override
    public void flush() {}

    @Override
    public void close() {
      logger.removeHandler(this);
    }
  }
}
