package dev.tessera.models.gguf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.testing.GgufWriter;
import dev.tessera.models.testing.GgufWriter.LittleEndian;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GgufFileTest {
  private static final int MAGIC = 0x46554747;

  @Test
  void readsWhatWasWritten(@TempDir Path directory) throws Exception {
    byte[] q8 = new byte[3 * 2 * 34];
    Arrays.fill(q8, (byte) 7);
    byte[] bytes =
        new GgufWriter()
            .put("general.architecture", "llama")
            .put("llama.block_count", 30)
            .put("llama.eps", 1e-5f)
            .put("flag", true)
            .put("big", -1L)
            .put("tokens", new String[] {"a", "", "日本"})
            .put("scores", new float[] {1, -2})
            .put("types", new int[] {1, -2})
            .tensor("vector", TensorType.F32.ggmlId(), new byte[12], 3)
            .tensor("matrix", TensorType.Q8_0.ggmlId(), q8, 64, 3)
            .tensor("cube", TensorType.F16.ggmlId(), new byte[2 * 2 * 3 * 4], 2, 3, 4)
            .bytes();
    Path path = Files.write(directory.resolve("tiny.gguf"), bytes);
    try (GgufFile file = GgufFile.open(path)) {
      assertEquals(3, file.version());
      assertEquals(bytes.length, file.fileBytes());
      Metadata metadata = file.metadata();
      assertEquals("llama", metadata.required("general.architecture", String.class));
      assertEquals(30L, metadata.required("llama.block_count", Long.class));
      assertEquals((double) 1e-5f, metadata.required("llama.eps", Double.class));
      assertEquals(true, metadata.required("flag", Boolean.class));
      assertEquals(-1L, metadata.required("big", Long.class));
      assertArrayEquals(new String[] {"a", "", "日本"}, metadata.required("tokens", String[].class));
      assertArrayEquals(new double[] {1, -2}, metadata.required("scores", double[].class));
      assertArrayEquals(new long[] {1, -2}, metadata.required("types", long[].class));

      assertEquals(List.of("vector", "matrix", "cube"), List.copyOf(file.tensors().keySet()));
      Tensor matrix = file.tensors().get("matrix");
      assertEquals(3, matrix.rows());
      assertEquals(64, matrix.columns());
      assertArrayEquals(q8, matrix.data().toArray(ValueLayout.JAVA_BYTE));
      assertEquals(1, file.tensors().get("vector").rows());
      assertEquals(12, file.tensors().get("cube").rows());
    }
  }

  @Test
  void acceptsVersion2() throws Exception {
    byte[] bytes = new GgufWriter().put("a", 1).bytes();
    bytes[4] = 2;
    assertEquals(2, parse(bytes).version());
  }

  @Test
  void refusesEveryTruncation() {
    byte[] whole =
        new GgufWriter()
            .put("key", "value")
            .put("list", new String[] {"a", "b"})
            .tensor("t", TensorType.F32.ggmlId(), new byte[128], 32)
            .bytes();
    for (int length = 0; length < whole.length; length++) {
      byte[] part = Arrays.copyOf(whole, length);
      assertThrows(ModelFormatException.class, () -> parse(part));
    }
  }

  @Test
  void survivesEverySingleByteChange() {
    byte[] whole =
        new GgufWriter()
            .put("key", "value")
            .put("general.alignment", 32)
            .put("list", new String[] {"a", "b"})
            .tensor("t", TensorType.F32.ggmlId(), new byte[128], 32)
            .bytes();
    for (int i = 0; i < whole.length; i++) {
      for (int value : new int[] {0, 1, 0x7f, 0x80, 0xff}) {
        byte[] changed = whole.clone();
        changed[i] = (byte) value;
        try {
          parse(changed);
        } catch (ModelFormatException e) {
          assertIsOneLine(e);
        }
      }
    }
  }

  @Test
  void refusesOtherFiles() {
    assertRefused("not a GGUF file: it starts with 504b0304", out -> out.putInt(0x04034b50));
    assertRefused("GGUF version 1; expected 2 or 3", out -> out.putInt(MAGIC).putInt(1));
    assertRefused("GGUF version 3 in big-endian order", out -> out.putInt(MAGIC).putInt(3 << 24));
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 32, 1L << 61, 1000})
  void refusesAbsurdCounts(long count) {
    assertRefused("the tensor count is", out -> head(out, count, 0).pad(64));
    assertRefused("the metadata count is", out -> head(out, 0, count).pad(64));
    assertRefused("is a string of", out -> head(out, 0, 1).putLong(count).pad(64));
    assertRefused(
        "the length of metadata key k is",
        out -> head(out, 0, 1).putString("k").putInt(9).putInt(4).putLong(count).pad(64));
  }

  @Test
  void refusesUnknownValueTypes() {
    assertRefused(
        "metadata key k has the unknown value type 13",
        out -> head(out, 0, 1).putString("k").putInt(13).pad(64));
    assertRefused(
        "metadata key k is a truth value of 2",
        out -> head(out, 0, 1).putString("k").putInt(7).putBytes((byte) 2));
  }

  @Test
  void refusesDeeplyNestedArrays() {
    assertRefused(
        "nests arrays more than 4 deep",
        out -> {
          head(out, 0, 1).putString("k").putInt(9);
          for (int i = 0; i < 10_000; i++) {
            out.putInt(9).putLong(1);
          }
        });
  }

  @Test
  void readsNestedArrays() throws Exception {
    var out = new LittleEndian();
    head(out, 0, 1).putString("k").putInt(9);
    out.putInt(9).putLong(2).putInt(4).putLong(1).putInt(5).putInt(4).putLong(0);
    Object[] nested = parse(out.bytes()).metadata().required("k", Object[].class);
    assertArrayEquals(new long[] {5}, (long[]) nested[0]);
    assertArrayEquals(new long[0], (long[]) nested[1]);
  }

  @Test
  void refusesDuplicates() {
    assertRefused(
        "metadata key k is there twice",
        out ->
            head(out, 0, 2).putString("k").putInt(4).putInt(1).putString("k").putInt(4).putInt(1));
    assertRefused(
        "tensor t is there twice",
        out -> {
          head(out, 2, 0);
          tensor(out, "t", 0, 0, 8);
          tensor(out, "t", 0, 32, 8);
          out.pad(200);
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3, 24, 8192, -1, Integer.MIN_VALUE})
  void refusesAlignmentsThatAreNoSmallPowerOfTwo(int alignment) {
    assertRefused(
        "expected a power of two up to 4,096",
        out -> {
          head(out, 1, 1).putString("general.alignment").putInt(4).putInt(alignment);
          tensor(out, "t", 0, 0, 8);
          out.pad(10_000);
        });
  }

  @Test
  void refusesShapesWhoseProductOverflows() {
    for (long[] shape :
        new long[][] {
          {1L << 32, 1L << 32},
          {1L << 31, 1L << 31},
          {1 << 30, 1 << 30, 16},
          {65536, 65536, 65536, 65536},
          {Long.MAX_VALUE},
          {-1},
          {32, -1},
          {0},
          {32, 0},
          {32, 1L << 31},
        }) {
      assertRefused("impossible shape", out -> tensor(head(out, 1, 0), "t", 0, 0, shape).pad(300));
    }
    for (int dimensions : new int[] {0, 5, -1}) {
      assertRefused(
          "dimensions; expected 1 to 4",
          out -> head(out, 1, 0).putString("t").putInt(dimensions).pad(300));
    }
  }

  @Test
  void refusesRowsOfBrokenBlocks() {
    assertRefused(
        "tensor t, shape 48: a row of 48 elements is not a multiple of 32",
        out -> tensor(head(out, 1, 0), "t", TensorType.Q4_0.ggmlId(), 0, 48).pad(300));
  }

  @Test
  void namesTypesThatItCannotRead() {
    assertRefused(
        "tensor t has the type IQ2_XXS (16), which is not supported; supported: F32, F16, Q4_0",
        out -> tensor(head(out, 1, 0), "t", 16, 0, 32).pad(300));
    assertRefused(
        "tensor t has the type number 4294967295",
        out -> tensor(head(out, 1, 0), "t", -1, 0, 32).pad(300));
  }

  @ParameterizedTest
  @ValueSource(longs = {-32, Long.MIN_VALUE, Long.MAX_VALUE - 31, 1 << 20, 96})
  void refusesTensorsOutsideTheFile(long offset) {
    assertThrows(
        ModelFormatException.class,
        () -> {
          var out = new LittleEndian();
          tensor(head(out, 1, 0), "t", 0, offset, 32);
          parse(out.pad(31 & -out.size()).pad(96).bytes());
        });
  }

  @Test
  void refusesTensorsThatShareBytes() {
    assertRefused(
        "tensor b starts at offset 32, inside tensor a, which ends at 64",
        out -> {
          head(out, 2, 0);
          tensor(out, "a", 0, 0, 16);
          tensor(out, "b", 0, 32, 16);
          out.pad(500);
        });
    assertRefused(
        "offset 4, which is not a multiple of the alignment 32",
        out -> tensor(head(out, 1, 0), "a", 0, 4, 16).pad(500));
  }

  @Test
  void namesFromTheFileCannotForgeLogLines() {
    var thrown =
        assertRefused(
            "is there twice",
            out ->
                head(out, 0, 2)
                    .putString("a\nINFO all is well\u001b[2J\u202e")
                    .putInt(4)
                    .putInt(1)
                    .putString("a\nINFO all is well\u001b[2J\u202e")
                    .putInt(4)
                    .putInt(1));
    assertTrue(thrown.getMessage().contains("a\\u{a}INFO all is well\\u{1b}[2J\\u{202e}"));
  }

  private static ModelFormatException assertRefused(String reason, Consumer<LittleEndian> file) {
    var out = new LittleEndian();
    file.accept(out);
    var thrown = assertThrows(ModelFormatException.class, () -> parse(out.bytes()));
    assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
    assertTrue(thrown.getMessage().startsWith("tiny.gguf: "), thrown.getMessage());
    assertIsOneLine(thrown);
    return thrown;
  }

  private static void assertIsOneLine(ModelFormatException thrown) {
    assertFalse(thrown.getMessage().chars().anyMatch(Character::isISOControl));
    assertTrue(thrown.getMessage().length() < 500);
  }

  private static LittleEndian head(LittleEndian out, long tensors, long entries) {
    return out.putInt(MAGIC).putInt(3).putLong(tensors).putLong(entries);
  }

  private static LittleEndian tensor(
      LittleEndian out, String name, int type, long offset, long... shape) {
    out.putString(name).putInt(shape.length);
    for (long extent : shape) {
      out.putLong(extent);
    }
    return out.putInt(type).putLong(offset);
  }

  private static GgufFile parse(byte[] bytes) throws ModelFormatException {
    return GgufFile.parse(MemorySegment.ofArray(bytes), "tiny.gguf", null);
  }
}
