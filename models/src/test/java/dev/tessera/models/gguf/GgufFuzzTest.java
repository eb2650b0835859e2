package dev.tessera.models.gguf;

import com.code_intelligence.jazzer.junit.FuzzTest;
import dev.tessera.kernels.TensorType;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.testing.GgufWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.Stream;
import org.junit.jupiter.params.provider.MethodSource;

/// Any bytes are a GGUF file or refused: nothing else is thrown, no memory is lost to a lie, and
/// what is accepted can be read to its last byte.
///
/// The build runs the seeds; `.ci/fuzz` searches.
class GgufFuzzTest {

  static Stream<byte[]> seeds() {
    byte[] file =
        new GgufWriter()
            .put("general.architecture", "llama")
            .put("general.alignment", 32)
            .put("list", new String[] {"a", "b"})
            .put("numbers", new float[] {1, 2})
            .tensor("matrix", TensorType.Q8_0.ggmlId(), new byte[68], 32, 2)
            .tensor("vector", TensorType.F32.ggmlId(), new byte[32], 8)
            .bytes();
    return Stream.of(file);
  }

  @MethodSource("seeds")
  @FuzzTest
  void refusesOrReadsAnyBytes(byte[] bytes) {
    try (GgufFile file = GgufFile.parse(MemorySegment.ofArray(bytes), "fuzz.gguf", null)) {
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
