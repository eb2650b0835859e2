package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class DiskTierTest {
  private static final int SIZE = 1000;
  private static final long FILE = SIZE + SlabFile.HEADER_BYTES;
  private static final long PLENTY = 1 << 20;

  @TempDir Path parent;
  private final List<String> warnings = Collections.synchronizedList(new ArrayList<>());
  private DiskTier tier;

  @AfterEach
  void close() {
    if (tier != null) {
      tier.close();
    }
  }

  private static SlabKey key(int number) {
    return new SlabKey(new BlockHash(number, 2, 3, 4), number % 3, number % 2);
  }

  private static byte[] slab(int number) {
    byte[] bytes = new byte[SIZE];
    new Random(number).nextBytes(bytes);
    return bytes;
  }

  private boolean store(int number) throws Exception {
    boolean taken =
        tier.store(
            key(number), SIZE, memory -> memory.copyFrom(MemorySegment.ofArray(slab(number))));
    tier.flush();
    return taken;
  }

  private byte[] fetch(int number) throws InterruptedException {
    Fetch fetch = tier.fetch(key(number), SIZE);
    fetch.await(TimeUnit.SECONDS.toNanos(30));
    assertTrue(fetch.isDone());
    MemorySegment bytes = fetch.bytes();
    return bytes == null ? null : bytes.toArray(ValueLayout.JAVA_BYTE);
  }

  private Path file(int number) {
    return tier.directory().resolve(key(number).text() + ".slab");
  }

  @Test
  void givesBackWhatItWasGiven() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
    assertFalse(tier.holds(key(1)));
    assertTrue(store(1));
    assertTrue(store(2));
    assertTrue(store(1), "it has that one");
    assertTrue(tier.holds(key(1)));
    assertArrayEquals(slab(1), fetch(1));
    assertArrayEquals(slab(2), fetch(2));
    assertNull(fetch(3));
    TierStats stats = tier.stats();
    assertEquals(2, stats.stored());
    assertEquals(2, stats.fetched());
    assertEquals(1, stats.lost());
    assertEquals(2 * FILE, stats.bytes());
    assertEquals(1, stats.slabs().get(new TierStats.Place(1, 1)));
  }

  @Test
  void servesWhatIsStillToBeWritten() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
    for (int i = 0; i < 50; i++) {
      byte[] slab = slab(i);
      assertTrue(tier.store(key(i), SIZE, to -> to.copyFrom(MemorySegment.ofArray(slab))));
      assertTrue(tier.holds(key(i)));
      assertArrayEquals(slab, fetch(i));
    }
  }

  @Test
  void keepsToItsBudgetAndGivesUpTheLeastRecentlyUsed() throws Exception {
    tier = DiskTier.scratch(parent, 3 * FILE, PLENTY, warnings::add);
    for (int i = 1; i <= 3; i++) {
      assertTrue(store(i));
    }
    assertNotNull(fetch(1)); // 2 is the oldest now
    assertTrue(store(4));
    assertFalse(tier.holds(key(2)));
    assertFalse(Files.exists(file(2)));
    for (int i : new int[] {1, 3, 4}) {
      assertArrayEquals(slab(i), fetch(i));
    }
    assertEquals(3 * FILE, tier.stats().bytes());
    assertEquals(1, tier.stats().dropped());
  }

  @Test
  void declinesWhatDoesNotFit() throws Exception {
    tier = DiskTier.scratch(parent, FILE - 1, PLENTY, warnings::add);
    assertFalse(store(1));
    tier.close();
    tier = DiskTier.scratch(parent, PLENTY, SIZE - 1, warnings::add);
    assertFalse(store(1), "more than may wait to be written");
    assertEquals(1, tier.stats().declined());
    tier.close();
    assertFalse(tier.store(key(1), 1, memory -> {}), "closed");
  }

  @Test
  void anyFlippedBitIsNoticed() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
    Random random = new Random(3);
    for (int i = 0; i < FILE; i += i < SlabFile.HEADER_BYTES ? 1 : 37) {
      assertTrue(store(1));
      byte[] bytes = Files.readAllBytes(file(1));
      bytes[i] ^= (byte) (1 << random.nextInt(8));
      Files.write(file(1), bytes);
      assertNull(fetch(1), "byte " + i);
      assertFalse(tier.holds(key(1)));
      assertFalse(Files.exists(file(1)));
      assertTrue(warnings.removeLast().contains(file(1).toString()));
    }
    assertEquals(0, tier.stats().lost());
    assertTrue(tier.stats().damaged() > SlabFile.HEADER_BYTES);
    assertTrue(store(1));
    assertArrayEquals(slab(1), fetch(1));
  }

  @Test
  void waitsForRoomAndLearnsHowLongReadingTakes() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, 2 * SIZE, warnings::add);
    assertEquals(0, tier.fetchNanos(SIZE));
    for (int i = 0; i < 100; i++) {
      byte[] slab = slab(i);
      assertTrue(tier.awaitRoom(SIZE, TimeUnit.SECONDS.toNanos(30)));
      assertTrue(tier.store(key(i), SIZE, to -> to.copyFrom(MemorySegment.ofArray(slab))));
    }
    assertEquals(0, tier.stats().declined());
    tier.flush();
    assertArrayEquals(slab(1), fetch(1));
    assertTrue(tier.fetchNanos(SIZE) > 0);
    assertEquals(2 * tier.fetchNanos(SIZE), tier.fetchNanos(2 * SIZE));
    tier.close();
    assertFalse(tier.awaitRoom(SIZE, TimeUnit.SECONDS.toNanos(30)), "closed");
  }

  @Test
  void aFileOfAnotherLengthOrOfAnotherSlabIsNone() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
    for (int length : new int[] {0, 1, 63, 64, 500, (int) FILE - 1, (int) FILE + 1}) {
      assertTrue(store(1));
      Files.write(file(1), Arrays.copyOf(Files.readAllBytes(file(1)), length));
      assertNull(fetch(1), length + " bytes");
    }
    assertTrue(store(1));
    assertTrue(store(7));
    Files.copy(file(7), file(1), StandardCopyOption.REPLACE_EXISTING);
    assertNull(fetch(1));
    assertArrayEquals(slab(7), fetch(7));
    Files.delete(file(7));
    assertNull(fetch(7));
    assertFalse(tier.holds(key(7)));
    assertEquals(0, tier.stats().bytes());
  }

  @Test
  void survivesADirectoryThatCannotBeWritten() throws Exception {
    tier = DiskTier.scratch(parent.resolve("gone"), PLENTY, PLENTY, warnings::add);
    assertTrue(store(1));
    Files.delete(file(1));
    Files.delete(tier.directory().resolve("lock"));
    Files.delete(tier.directory());
    assertTrue(store(2), "it does not know yet");
    assertFalse(tier.holds(key(2)));
    assertNull(fetch(1));
    assertEquals(1, tier.stats().declined());
    assertTrue(warnings.getFirst().contains(tier.directory().toString()), warnings::toString);
    Files.createDirectories(tier.directory());
    assertTrue(store(3));
    assertArrayEquals(slab(3), fetch(3));
  }

  @Test
  void isPrivateAndLeavesNothing() throws Exception {
    tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
    assertTrue(store(1));
    assertEquals(
        PosixFilePermissions.fromString("rwx------"),
        Files.getPosixFilePermissions(tier.directory()));
    assertEquals(
        PosixFilePermissions.fromString("rw-------"), Files.getPosixFilePermissions(file(1)));
    tier.close();
    assertEquals(List.of(), list(parent));
  }

  private static List<Path> list(Path directory) throws IOException {
    try (var files = Files.list(directory)) {
      return files.toList();
    }
  }

  @Test
  void findsAgainWhatItHasKept() throws Exception {
    Path kept = parent.resolve("kept");
    tier = DiskTier.keep(kept, PLENTY, PLENTY, warnings::add);
    for (int i = 1; i <= 4; i++) {
      assertTrue(store(i));
      Files.setLastModifiedTime(file(i), FileTime.fromMillis(1_000L * i));
    }
    assertTrue(tier.isLasting());
    Path foreign = Files.writeString(kept.resolve("notes.slab"), "not a slab's name");
    assertArrayEquals(slab(2), fetch(2)); // 1 and 3 are the oldest now
    tier.close();
    tier = DiskTier.keep(kept, 2 * FILE, PLENTY, warnings::add);
    assertFalse(tier.holds(key(1)));
    assertFalse(Files.exists(file(3)));
    assertArrayEquals(slab(2), fetch(2));
    assertArrayEquals(slab(4), fetch(4));
    assertTrue(Files.exists(foreign));
  }

  @Test
  void aDirectoryIsOneProcesssAtATime() throws Exception {
    Path kept = parent.resolve("kept");
    tier = DiskTier.keep(kept, PLENTY, PLENTY, warnings::add);
    IOException here =
        assertThrows(IOException.class, () -> DiskTier.keep(kept, PLENTY, PLENTY, warnings::add));
    assertTrue(here.getMessage().contains("in use by another process"), here.getMessage());
    tier.close();
    Process other = holdLock(kept);
    try {
      IOException there =
          assertThrows(IOException.class, () -> DiskTier.keep(kept, PLENTY, PLENTY, warnings::add));
      assertTrue(there.getMessage().contains(kept.toString()), there.getMessage());
    } finally {
      other.destroyForcibly().waitFor();
    }
    tier = DiskTier.keep(kept, PLENTY, PLENTY, warnings::add);
    assertTrue(store(1));
  }

  @Test
  void takesAwayWhatDeadProcessesHaveLeftAndNothingElse() throws Exception {
    Path dead = Files.createDirectory(parent.resolve("scratch-dead"));
    Files.createFile(dead.resolve("lock"));
    Files.write(dead.resolve(key(1).text() + ".slab"), slab(1));
    Files.write(dead.resolve("part"), slab(1));
    Path living = Files.createDirectory(parent.resolve("scratch-living"));
    Path unknown = Files.createDirectory(parent.resolve("scratch-without-lock"));
    Process other = holdLock(living);
    try {
      tier = DiskTier.scratch(parent, PLENTY, PLENTY, warnings::add);
      assertFalse(Files.exists(dead));
      assertTrue(Files.exists(living));
      assertTrue(Files.exists(unknown));
    } finally {
      other.destroyForcibly().waitFor();
    }
  }

  /// Another process that has a directory's lock until it is ended.
  private Process holdLock(Path directory) throws IOException {
    Path program =
        Files.writeString(
            parent.resolve("HoldLock.java"),
            """
            void main(String[] directory) throws Exception {
              var lock = java.nio.file.Path.of(directory[0], "lock");
              try (var channel = java.nio.channels.FileChannel.open(lock,
                  java.nio.file.StandardOpenOption.CREATE,
                  java.nio.file.StandardOpenOption.WRITE)) {
                System.out.println(channel.tryLock() != null);
                Thread.sleep(60_000);
              }
            }
            """);
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                program.toString(),
                directory.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    assertEquals("true", process.inputReader().readLine());
    return process;
  }
}
