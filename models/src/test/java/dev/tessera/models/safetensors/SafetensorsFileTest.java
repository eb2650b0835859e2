package dev.tessera.models.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import dev.tessera.models.ModelFormatException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsFileTest {
  private static final String TWO =
      """
      {"__metadata__": {"format": "pt"},
       "b": {"dtype": "F16", "shape": [2, 3, 2], "data_offsets": [8, 32]},
       "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}\
      """;

  @Test
  void readsTensorsInTheOrderOfTheirData() throws Exception {
    byte[] data = new byte[32];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) i;
    }
    SafetensorsFile file = parse(file(TWO, data));
    assertEquals(List.of("a", "b"), List.copyOf(file.tensors().keySet()));
    Tensor tensor = file.tensors().get("b");
    assertEquals(TensorType.F16, tensor.type());
    assertEquals(6, tensor.rows());
    assertEquals(2, tensor.columns());
    assertArrayEquals(
        Arrays.copyOfRange(data, 8, 32), tensor.data().toArray(ValueLayout.JAVA_BYTE));
    assertEquals(1, file.tensors().get("a").rows());
  }

  @Test
  void refusesEveryTruncation() {
    byte[] whole = file(TWO, new byte[32]);
    for (int length = 0; length < whole.length; length++) {
      byte[] part = Arrays.copyOf(whole, length);
      assertThrows(ModelFormatException.class, () -> parse(part), "of " + length + " bytes");
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE, 1L << 32, 10_000})
  void refusesImpossibleHeaderLengths(long length) {
    byte[] bytes = file(TWO, new byte[32]);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    assertTrue(refusal(bytes).contains("the header's length is " + Long.toUnsignedString(length)));
  }

  @Test
  void refusesTensorsThatDoNotCoverTheData() {
    assertRefused("the data has 33 bytes; the tensors account for 32", TWO, 33);
    assertRefused("ends at byte 32 of the data, which has 31", TWO, 31);
    assertRefused(
        "tensor b starts at offset 12; expected 8",
        one("a", "F32", "[2]", "[0, 8]") + "," + one("b", "F32", "[1]", "[12, 16]"),
        16);
    assertRefused(
        "tensor b starts at offset 4; expected 8",
        one("a", "F32", "[2]", "[0, 8]") + "," + one("b", "F32", "[1]", "[4, 8]"),
        8);
    assertRefused("starts at offset 4; expected 0", one("a", "F32", "[1]", "[4, 8]"), 8);
  }

  @Test
  void refusesShapesThatContradictTheOffsets() {
    assertRefused("has 8 bytes; expected 12", one("a", "F32", "[3]", "[0, 8]"), 8);
    assertRefused("impossible shape", one("a", "F32", "[0]", "[0, 0]"), 0);
    assertRefused("impossible shape", one("a", "F32", "[-1, 4]", "[0, 4]"), 4);
    assertRefused("impossible shape", one("a", "F32", "[4294967296, 4294967296]", "[0, 4]"), 4);
    assertRefused("impossible shape", one("a", "F32", "[1.5]", "[0, 4]"), 4);
    assertRefused(
        "impossible shape",
        one("a", "F32", "[9223372036854775807, 9223372036854775807]", "[0, 4]"),
        4);
    assertRefused(
        "out of range of long", one("a", "F32", "[99999999999999999999999999]", "[0, 4]"), 4);
    assertRefused("has 9 dimensions", one("a", "F32", "[1, 1, 1, 1, 1, 1, 1, 1, 1]", "[0, 4]"), 4);
  }

  @Test
  void refusesImpossibleOffsets() {
    for (String offsets : List.of("[0]", "[8, 0]", "[-4, 4]", "[0, 1e400]", "[null, 4]", "[]")) {
      assertRefused("expected a start and an end", one("a", "F32", "[1]", offsets), 4);
    }
    assertRefused(
        "has 9,223,372,036,854,775,807 bytes",
        one("a", "F32", "[1]", "[0, 9223372036854775807]"),
        4);
  }

  @Test
  void refusesHeadersThatAreNotOfTheFormat() {
    assertRefused("has the type I64, which is not supported", one("a", "I64", "[1]", "[0, 8]"), 8);
    assertRefused("expected dtype, shape and data_offsets", "\"a\": {\"dtype\": \"F32\"}", 0);
    assertRefused("expected dtype, shape and data_offsets", "\"a\": 1", 0);
    assertRefused(
        "Duplicate", one("a", "F32", "[1]", "[0, 4]") + "," + one("a", "F32", "[1]", "[0, 4]"), 4);
    assertRefused("__metadata__ is not an object of texts", "\"__metadata__\": {\"a\": 1}", 0);
    assertRefused("__metadata__ is not an object of texts", "\"__metadata__\": []", 0);
    assertTrue(refusal(file("[1, 2]", new byte[0])).contains("expected a JSON object"));
    assertTrue(refusal(file("{} {}", new byte[0])).contains("Trailing token"));
    assertTrue(refusal(file("{\"a\": NaN}", new byte[0])).contains("line 1"));
  }

  @Test
  void refusesDeepHeaders() {
    String deep = "{\"a\":".repeat(50_000) + "1" + "}".repeat(50_000);
    assertTrue(refusal(file(deep, new byte[0])).contains("depth"));
  }

  @Test
  void namesFromTheFileCannotForgeLogLines() {
    String message =
        refusal(file("{" + one("a\\nINFO fine", "I64", "[1]", "[0, 8]") + "}", new byte[8]));
    assertTrue(message.contains("a\\u{a}INFO fine"), message);
    assertFalse(message.contains("\n"));
  }

  @Test
  void refusesIndexesThatNameOtherDirectories(@TempDir Path directory) throws Exception {
    for (String shard :
        List.of("../x.safetensors", "/x.safetensors", "a\\\\x.safetensors", "x.bin")) {
      index(directory, "{\"weight_map\": {\"a\": \"" + shard + "\"}}");
      assertTrue(openRefusal(directory).contains("expected a file beside it"));
    }
    index(directory, "{\"weight_map\": {\"a\": 1}}");
    assertTrue(openRefusal(directory).contains("expected a file beside it"));
    index(directory, "{\"weight_map\": {}}");
    assertTrue(openRefusal(directory).contains("missing or empty"));
  }

  @Test
  void refusesShardsThatContradictTheIndex(@TempDir Path directory) throws Exception {
    index(directory, "{\"weight_map\": {\"a\": \"x.safetensors\"}}");
    assertTrue(openRefusal(directory).contains("the file x.safetensors is missing"));
    Path shard = directory.resolve("x.safetensors");
    Files.write(shard, file("{" + one("b", "F32", "[1]", "[0, 4]") + "}", new byte[4]));
    assertTrue(openRefusal(directory).contains("does not place there"));
    index(directory, "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"x.safetensors\"}}");
    assertTrue(openRefusal(directory).contains("places tensor a in x.safetensors"));
  }

  private static void index(Path directory, String json) throws Exception {
    Files.writeString(directory.resolve("model.safetensors.index.json"), json);
  }

  private static String openRefusal(Path directory) {
    return assertThrows(
            ModelFormatException.class, () -> SafetensorsCheckpoint.open(directory).close())
        .getMessage();
  }

  private static String one(String name, String type, String shape, String offsets) {
    return "\"%s\": {\"dtype\": \"%s\", \"shape\": %s, \"data_offsets\": %s}"
        .formatted(name, type, shape, offsets);
  }

  private static void assertRefused(String reason, String header, int dataBytes) {
    String json = header.startsWith("{") ? header : "{" + header + "}";
    String message = refusal(file(json, new byte[dataBytes]));
    assertTrue(message.contains(reason), message);
  }

  private static String refusal(byte[] bytes) {
    String message = assertThrows(ModelFormatException.class, () -> parse(bytes)).getMessage();
    assertTrue(message.startsWith("tiny.safetensors: "), message);
    assertTrue(message.length() < 500, message);
    return message;
  }

  private static byte[] file(String header, byte[] data) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(8 + json.length + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(json.length)
        .put(json)
        .put(data)
        .array();
  }

  private static SafetensorsFile parse(byte[] bytes) throws ModelFormatException {
    return SafetensorsFile.parse(MemorySegment.ofArray(bytes), "tiny.safetensors");
  }
}
