package dev.tessera.models.safetensors;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.tessera.models.ModelFormatException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;

/// Any bytes are a safetensors file or refused: nothing else is thrown, and what is accepted can be
/// read to its last byte.
class SafetensorsFuzzTest {

  static Stream<byte[]> seeds() {
    byte[] header =
        """
        {"__metadata__": {"format": "pt"},
         "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "b": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [8, 20]}}\
        """
            .getBytes(StandardCharsets.UTF_8);
    byte[] file =
        ByteBuffer.allocate(8 + header.length + 20)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(header.length)
            .put(header)
            .array();
    return Stream.of(file);
  }

  @MethodSource("seeds")
  @FuzzTest
  void refusesOrReadsAnyBytes(byte[] bytes) {
    try {
      var file = SafetensorsFile.parse(MemorySegment.ofArray(bytes), "fuzz.safetensors");
      for (var tensor : file.tensors().values()) {
        tensor.data().get(ValueLayout.JAVA_BYTE, tensor.data().byteSize() - 1);
      }
    } catch (ModelFormatException e) {
      if (e.getMessage().indexOf('\n') >= 0) {
        throw new AssertionError("a message of two lines", e);
      }
    }
  }
}
