package dev.tessera.models.gguf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Tensor;
import dev.tessera.models.Model;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.Models;
import dev.tessera.models.testing.GgufWriter;
import dev.tessera.models.testing.TinyModel;
import dev.tessera.models.testing.TinyModel.Family;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A model cut into three files is the model in one.
class GgufPartsTest {
  private static final int PARTS = 3;

  @TempDir Path directory;
  private Path whole;
  private List<GgufWriter> writers;

  /// Tensor i goes into part i mod 3; the first part has the metadata.
  @BeforeEach
  void cut() throws Exception {
    whole = TinyModel.of(Family.LLAMA).writeGguf(directory.resolve("whole.gguf"));
    writers = new ArrayList<>();
    try (GgufFile file = GgufFile.open(whole)) {
      for (int number = 0; number < PARTS; number++) {
        writers.add(new GgufWriter().put("split.no", number).put("split.count", PARTS));
      }
      file.metadata().values().forEach(writers.getFirst()::put);
      writers.getFirst().put("split.tensors.count", file.tensors().size());
      int next = 0;
      for (Tensor tensor : file.tensors().values()) {
        byte[] data = tensor.data().toArray(ValueLayout.JAVA_BYTE);
        boolean vector = tensor.rows() == 1;
        long[] shape =
            vector ? new long[] {tensor.columns()} : new long[] {tensor.columns(), tensor.rows()};
        writers.get(next++ % PARTS).tensor(tensor.name(), tensor.type().ggmlId(), data, shape);
      }
    }
  }

  private Path part(int number) {
    return directory.resolve("tiny-%05d-of-%05d.gguf".formatted(number, PARTS));
  }

  private Path write() throws Exception {
    for (int i = 0; i < PARTS; i++) {
      Files.write(part(i + 1), writers.get(i).bytes());
    }
    return part(1);
  }

  private static String refusal(Path path) {
    return assertThrows(ModelFormatException.class, () -> GgufParts.open(path).close())
        .getMessage();
  }

  @Test
  void holdsTheTensorsOfTheWhole() throws Exception {
    try (GgufFile one = GgufFile.open(whole);
        GgufFile several = GgufParts.open(write())) {
      assertEquals(one.tensors().keySet(), new java.util.HashSet<>(several.tensors().keySet()));
      for (Tensor tensor : one.tensors().values()) {
        Tensor other = several.tensors().get(tensor.name());
        assertEquals(tensor.type(), other.type());
        assertEquals(tensor.rows(), other.rows());
        assertEquals(-1, tensor.data().mismatch(other.data()), tensor.name());
      }
      long bytes = Files.size(part(1)) + Files.size(part(2)) + Files.size(part(3));
      assertEquals(bytes, several.fileBytes());
    }
  }

  @Test
  void opensAsAModel() throws Exception {
    try (Model one = Models.open(whole);
        Model several = Models.open(write())) {
      assertEquals(one.parameters(), several.parameters());
      assertEquals(one.spec().kv(), several.spec().kv());
      assertArrayEquals(
          one.tokenizer().encode("hello", true, true),
          several.tokenizer().encode("hello", true, true));
    }
  }

  @Test
  void aFileAloneIsAModel() throws Exception {
    try (GgufFile file = GgufParts.open(whole)) {
      assertFalse(file.tensors().isEmpty());
    }
  }

  @Test
  void namesAMissingPart() throws Exception {
    Path first = write();
    Files.delete(part(3));
    assertTrue(refusal(first).contains("its part tiny-00003-of-00003.gguf is missing"));
  }

  @Test
  void wantsTheFirstPart() throws Exception {
    write();
    assertTrue(refusal(part(2)).contains("is part 2 of a model; name its first part"));
  }

  @Test
  void refusesPartsThatWereRenamed() throws Exception {
    Path first = write();
    Files.copy(part(2), part(3), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
    assertTrue(refusal(first).contains("says that it is part 2 of 3; expected 3 of 3"));
    Path alone = Files.copy(first, directory.resolve("renamed.gguf"));
    assertTrue(refusal(alone).contains("expected a name that ends in -00001-of-00003.gguf"));
  }

  @Test
  void refusesATensorThatIsThereTwiceOrMissing() throws Exception {
    writers.get(2).tensor("output_norm.weight", 0, new byte[32], 8);
    assertTrue(refusal(write()).contains("output_norm.weight is in an earlier part too"));
    writers.set(2, new GgufWriter().put("split.no", 2).put("split.count", PARTS));
    assertTrue(refusal(write()).contains("split.tensors.count is"));
  }

  @Test
  void refusesAnImpossibleCount() throws Exception {
    writers.getFirst().put("split.count", 1000);
    assertTrue(refusal(write()).contains("split.count is 1000; expected at most 999 parts"));
  }
}
