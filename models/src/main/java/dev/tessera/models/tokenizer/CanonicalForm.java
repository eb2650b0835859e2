package dev.tessera.models.tokenizer;

import java.text.Normalizer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Unicode normalisation in time that grows with the text. The library sorts combining marks by
/// insertion, which takes hours on a megabyte of marks in the wrong order; so long runs are brought
/// into an order first that it need not change.
final class CanonicalForm {
  /// A run of marks this long is no writing system's. Insertion is cheap below it.
  private static final int LONG_RUN = 64;

  private CanonicalForm() {}

  static Normalization of(Normalizer.Form form) {
    return text -> normalize(text, form);
  }

  static String normalize(String text, Normalizer.Form form) {
    boolean ascii = true;
    for (int i = 0; ascii && i < text.length(); i++) {
      ascii = text.charAt(i) < 0x80;
    }
    return ascii ? text : Normalizer.normalize(withSortedMarks(text), form);
  }

  private static String withSortedMarks(String text) {
    StringBuilder sorted = null;
    int copied = 0;
    for (int i = 0; i < text.length(); ) {
      int end = CharacterClass.run(text, i, text.length(), CharacterClass.MARK);
      if (end - i > LONG_RUN) {
        sorted = sorted == null ? new StringBuilder(text.length()) : sorted;
        sorted.append(text, copied, i);
        sortMarks(text.substring(i, end), sorted);
        copied = end;
      }
      i = end > i ? end : CharacterClass.next(text, i);
    }
    return sorted == null ? text : sorted.append(text, copied, text.length()).toString();
  }

  /// Stable by combining class, between marks of class 0, which nothing moves across.
  private static void sortMarks(String run, StringBuilder sorted) {
    Map<Integer, int[]> decompositions = new HashMap<>();
    int[] marks =
        run.codePoints()
            .flatMap(
                mark ->
                    Arrays.stream(
                        decompositions.computeIfAbsent(mark, CanonicalForm::decomposition)))
            .toArray();
    Map<Integer, Integer> order = order(marks);
    long[] keys = new long[marks.length]; // class in the high half, position in the low
    int start = 0;
    for (int i = 0; i <= marks.length; i++) {
      if (i < marks.length) {
        keys[i] = LongMap.pair(order.getOrDefault(marks[i], 0), i);
      }
      if (i == marks.length || keys[i] >>> 32 == 0) {
        Arrays.sort(keys, start, i);
        start = i + 1;
      }
    }
    for (long key : keys) {
      sorted.appendCodePoint(marks[(int) key]);
    }
  }

  private static int[] decomposition(int mark) {
    return decomposed(Character.toString(mark)).codePoints().toArray();
  }

  private static String decomposed(String text) {
    return Normalizer.normalize(text, Normalizer.Form.NFD);
  }

  /// Numbers that ascend with the combining class, from 1; marks of class 0 have none.
  private static Map<Integer, Integer> order(int[] marks) {
    List<Integer> movable =
        Arrays.stream(marks)
            .distinct()
            .filter(CanonicalForm::isMovable)
            .boxed()
            .sorted((a, b) -> swaps(a, b) ? 1 : swaps(b, a) ? -1 : 0)
            .toList();
    Map<Integer, Integer> order = new HashMap<>();
    int number = 0;
    int before = 0;
    for (int mark : movable) {
      if (number == 0 || swaps(mark, before)) {
        number++;
      }
      order.put(mark, number);
      before = mark;
    }
    return order;
  }

  /// The classes in use go from 1 (U+0334) to 240 (U+0345): a mark of another class than 0 moves
  /// past the first or is moved past by the second.
  private static boolean isMovable(int mark) {
    return swaps(mark, 0x0334) || swaps(0x0345, mark);
  }

  /// Whether canonical ordering exchanges the two, because the first has the higher class.
  private static boolean swaps(int first, int second) {
    String pair = Character.toString(first) + Character.toString(second);
    return decomposed(pair).codePointAt(0) != first;
  }
}
