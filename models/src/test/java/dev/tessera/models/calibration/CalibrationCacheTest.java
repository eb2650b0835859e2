package dev.tessera.models.calibration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kvcache.CodedFormat.Role;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class CalibrationCacheTest {

  private static final byte[] INPUTS = {1, 2, 3};
  private static final int DIM = 8;

  @TempDir Path folder;
  private final AtomicInteger learned = new AtomicInteger();

  private Calibration get(Path model, Path other, byte[] inputs) {
    return new CalibrationCache(model, other)
        .get(
            inputs,
            2,
            3,
            DIM,
            () -> {
              learned.incrementAndGet();
              return calibration(5);
            });
  }

  private static Calibration calibration(long seed) {
    var random = new Random(seed);
    List<List<@Nullable LearnedKeys>> keys = new ArrayList<>();
    for (int layer = 0; layer < 2; layer++) {
      List<@Nullable LearnedKeys> heads = new ArrayList<>();
      for (int head = 0; head < 3; head++) {
        heads.add(
            layer == 1
                ? null
                : new LearnedKeys(
                    head == 0 ? null : floats(random, DIM),
                    floats(random, DIM * DIM),
                    floats(random, DIM * DIM),
                    floats(random, DIM)));
      }
      keys.add(heads);
    }
    List<LearnedPairs> books =
        List.of(
            new LearnedPairs(Role.KEY, 2, pairs(random)),
            new LearnedPairs(Role.VALUE, 2, pairs(random)));
    return new Calibration(
        DIM, keys, List.of(List.of(books, List.of(), books), Collections.nCopies(3, List.of())));
  }

  private static PairTable pairs(Random random) {
    return PairTable.of(random.doubles(2 * PairTable.codewords(2), -1, 1).toArray());
  }

  private static float[] floats(Random random, int count) {
    var x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private Path model() throws IOException {
    return Files.write(folder.resolve("model.gguf"), new byte[1]);
  }

  private Path file() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(f -> f.getFileName().toString().startsWith(".tessera")).findFirst().get();
    }
  }

  @Test
  void learnsOnceAndRemembersEveryBit() throws IOException {
    Calibration first = get(model(), folder.resolve("other"), INPUTS);
    Calibration second = get(model(), folder.resolve("other"), INPUTS);
    assertEquals(1, learned.get());
    assertArrayEquals(first.epoch(), second.epoch());
    assertArrayEquals(first.keys(0, 2).forward(), second.keys(0, 2).forward());
    assertArrayEquals(
        first.pairs(Role.VALUE, 0, 2, 2).levels(), second.pairs(Role.VALUE, 0, 2, 2).levels());
    assertNull(second.pairs(Role.VALUE, 0, 2, 3));
    assertNull(second.pairs(Role.KEY, 1, 0, 2));
    get(model(), folder.resolve("other"), new byte[] {9});
    assertEquals(2, learned.get());
  }

  @Test
  void goesElsewhereWhereTheModelsFolderCannotBeWritten() throws IOException {
    Path nowhere = folder.resolve("model.gguf/model.gguf"); // its folder is a file
    model();
    get(nowhere, folder.resolve("other"), INPUTS);
    get(nowhere, folder.resolve("other"), INPUTS);
    assertEquals(1, learned.get());
  }

  /// Whatever byte is changed, and wherever the file ends.
  @ParameterizedTest
  @ValueSource(ints = {0, 9, 45, 80, 100, 1000})
  void neverTrustsADamagedFile(int at) throws IOException {
    byte[] epoch = get(model(), folder, INPUTS).epoch();
    byte[] bytes = Files.readAllBytes(file());
    bytes[at] ^= 1;
    Files.write(file(), bytes);
    assertArrayEquals(epoch, get(model(), folder, INPUTS).epoch());
    assertEquals(2, learned.get());
    Files.write(file(), Arrays.copyOf(bytes, at));
    assertArrayEquals(epoch, get(model(), folder, INPUTS).epoch());
    assertEquals(3, learned.get());
    get(model(), folder, INPUTS);
    assertEquals(3, learned.get());
  }

  @Test
  void anotherModelsShapeIsNoCalibration() {
    byte[] bytes = CalibrationBytes.write(calibration(1));
    CalibrationBytes.read(bytes, 2, 3, DIM);
    assertThrows(IllegalArgumentException.class, () -> CalibrationBytes.read(bytes, 3, 2, DIM));
    assertThrows(IllegalArgumentException.class, () -> CalibrationBytes.read(bytes, 2, 3, 2 * DIM));
    byte[] longer = Arrays.copyOf(bytes, bytes.length + 1);
    assertThrows(IllegalArgumentException.class, () -> CalibrationBytes.read(longer, 2, 3, DIM));
  }
}
