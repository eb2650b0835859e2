package dev.tessera.models.calibration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.DecoderSession;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.SessionLimits;
import dev.tessera.kernels.codec.PairCodes;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.models.Model;
import dev.tessera.models.Models;
import dev.tessera.models.testing.ReferenceFiles;
import dev.tessera.models.testing.TinyModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class CalibratorTest {

  private static final int BLOCKS = 3;
  private static final PairDemand DEMAND =
      new PairDemand(new TreeSet<>(List.of(2)), new TreeSet<>(List.of(2, 3)));

  @TempDir Path folder;

  private static Calibration learn(Model model, List<Double> shares) {
    DecoderSpec spec = model.spec();
    int[] slabs = new int[spec.kv().groups().size()];
    Arrays.fill(slabs, BLOCKS);
    var limits = new SessionLimits(100, 1, 1, slabs);
    try (Backend backend = new ScalarBackend();
        DecoderSession session = backend.load(spec, model.weights(), limits, share -> {})) {
      return new Calibrator(session, limits, DEMAND).learn(model.tokenizer(), 4096, shares::add);
    }
  }

  /// Every architecture, with whatever biases, norms, windows and rotations it has.
  @ParameterizedTest
  @EnumSource(TinyModel.Family.class)
  void learnsFromEveryFamily(TinyModel.Family family) throws Exception {
    Path file = TinyModel.of(family).writeGguf(folder.resolve("model.gguf"));
    try (Model model = Models.open(file)) {
      List<Double> shares = new ArrayList<>();
      Calibration first = learn(model, shares);
      assertEquals(1, shares.getLast());
      assertEquals(shares.stream().sorted().toList(), shares);
      assertArrayEquals(first.epoch(), learn(model, new ArrayList<>()).epoch());
      DecoderSpec spec = model.spec();
      for (int layer = 0; layer < spec.layers().size(); layer++) {
        boolean cools = spec.kv().groups().get(spec.layers().get(layer).group()).isFull();
        for (int head = 0; head < spec.kvHeads(); head++) {
          LearnedKeys keys = first.keys(layer, head);
          assertEquals(cools, keys != null);
          if (keys != null) {
            assertNotNull(new CalibratedKeys(first, spec).spectrum(layer, head));
            learnsWhatIsAskedFor(new CalibratedKeys(first, spec), layer, head, spec.headDim());
          }
        }
      }
    }
  }

  private static void learnsWhatIsAskedFor(
      CalibratedKeys learned, int layer, int head, int headDim) {
    assertNull(learned.pairs(Role.KEY, layer, head, 3));
    for (Role role : Role.values()) {
      byte[] universal = PairCodes.universal(role, headDim, 2, null).pairs().getFirst().levels();
      byte[] own = learned.pairs(role, layer, head, 2).levels();
      assertEquals(universal.length, own.length);
      assertFalse(Arrays.equals(universal, own));
    }
  }

  /// What is learned and what is measured must not be the same text; and the texts are long enough
  /// for covariances, short enough for a start.
  @Test
  void readsSomeThousandTokens() throws Exception {
    try (Model model = Models.open(ReferenceFiles.smolLm2())) {
      List<int[]> texts = CalibrationTexts.tokens(model.tokenizer());
      int tokens = texts.stream().mapToInt(text -> text.length).sum();
      assertTrue(tokens >= 2000 && tokens <= 4000, tokens + " tokens");
      assertFalse(texts.stream().anyMatch(text -> text.length < 512));
    }
  }

  @Test
  void asksForEveryFactOnce() throws Exception {
    try (Model model = Models.open(ReferenceFiles.smolLm2())) {
      var names = List.of("Ann", "Bert", "Carl");
      var wording = new RetrievalText.Wording("Codes:\n", "The code of %s is", "\nNow:\n", names);
      RetrievalText text = RetrievalText.of(model.tokenizer(), wording, "And so on. ", 4, 7);
      String whole = model.tokenizer().decode(text.tokens(), true);
      assertEquals(3, text.answers().size());
      for (RetrievalText.Answer answer : text.answers()) {
        int[] tokens = Arrays.copyOfRange(text.tokens(), answer.start(), answer.end());
        String code = model.tokenizer().decode(tokens, true);
        assertTrue(code.matches(" \\d{4}"), code);
        assertEquals(3, whole.split(code + "\\.", -1).length, whole);
      }
    }
  }
}
