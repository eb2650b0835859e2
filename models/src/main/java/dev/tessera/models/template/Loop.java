package dev.tessera.models.template;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/// A running loop: `loop.index` and its kin. It looks no further ahead than it is asked, because
/// the body may change what the loop's filter depends on.
final class Loop implements Callable {
  private final Iterator<Object> source;
  private final int depth;
  private final @Nullable UnaryOperator<Object> recursion;
  private final Budget budget;
  private final Deque<Object> ahead = new ArrayDeque<>();
  private long index = -1;
  private @Nullable Object previous;
  private @Nullable Object current;
  private @Nullable Object lastChecked;

  /// @param recursion renders the loop again over another iterable; null where the loop is not
  ///   recursive
  Loop(
      Iterator<Object> source,
      int depth,
      @Nullable UnaryOperator<Object> recursion,
      Budget budget) {
    this.source = source;
    this.depth = depth;
    this.recursion = recursion;
    this.budget = budget;
  }

  boolean hasNext() {
    return !ahead.isEmpty() || source.hasNext();
  }

  Object next() {
    previous = current;
    Object next = ahead.isEmpty() ? source.next() : ahead.removeFirst();
    current = next;
    index++;
    return next;
  }

  private @Nullable Object peek() {
    if (ahead.isEmpty() && source.hasNext()) {
      ahead.add(source.next());
    }
    return ahead.peekFirst();
  }

  private long length() {
    while (source.hasNext()) {
      ahead.add(source.next());
      budget.step();
    }
    return index + 1 + ahead.size();
  }

  @Nullable Object attribute(String name) {
    return switch (name) {
      case "index" -> index + 1;
      case "index0" -> index;
      case "revindex" -> length() - index;
      case "revindex0" -> length() - index - 1;
      case "first" -> index == 0;
      case "last" -> peek() == null;
      case "length" -> length();
      case "depth" -> (long) depth + 1;
      case "depth0" -> (long) depth;
      case "previtem" -> previous == null ? new Undefined("the item before the first") : previous;
      case "nextitem" -> {
        Object next = peek();
        yield next == null ? new Undefined("the item after the last") : next;
      }
      case "cycle" ->
          (Callable)
              (_, arguments) -> {
                if (arguments.positional().isEmpty()) {
                  throw new Failure("loop.cycle() needs an argument");
                }
                int size = arguments.positional().size();
                return arguments.positional().get((int) (index % size));
              };
      case "changed" -> (Callable) (_, arguments) -> changed(arguments);
      default -> null;
    };
  }

  private boolean changed(Arguments arguments) {
    List<Object> now = new ArrayList<>(arguments.positional());
    boolean changed = lastChecked == null || !Values.equal(lastChecked, now, budget);
    lastChecked = now;
    return changed;
  }

  @Override
  public Object call(Evaluator evaluator, Arguments arguments) {
    if (recursion == null) {
      throw new Failure("the loop is not marked 'recursive'");
    }
    return recursion.apply(arguments.check("loop", "iterable").required(0, "iterable"));
  }
}
