package dev.tessera.server.metrics;

import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.LongAdder;

/// A histogram of whole numbers in Prometheus' text format, for the names that Micrometer's
/// registry would change.
final class TextHistogram {
  private final String name;
  private final String help;
  private final long[] bounds;
  private final AtomicLongArray counts;
  private final LongAdder sum = new LongAdder();

  /// @param bounds upper ends of the buckets, ascending
  TextHistogram(String name, String help, long... bounds) {
    this.name = name;
    this.help = help;
    this.bounds = bounds.clone();
    this.counts = new AtomicLongArray(bounds.length + 1);
  }

  void record(long value) {
    int bucket = 0;
    while (bucket < bounds.length && value > bounds[bucket]) {
      bucket++;
    }
    counts.incrementAndGet(bucket);
    sum.add(value);
  }

  /// @param labels inside the braces, without them
  void write(StringBuilder out, String labels) {
    out.append("# HELP ").append(name).append(' ').append(help).append('\n');
    out.append("# TYPE ").append(name).append(" histogram\n");
    long total = 0;
    for (int i = 0; i < bounds.length; i++) {
      total += counts.get(i);
      line(out, "_bucket", labels + ",le=\"" + bounds[i] + ".0\"", total);
    }
    total += counts.get(bounds.length);
    line(out, "_bucket", labels + ",le=\"+Inf\"", total);
    line(out, "_count", labels, total);
    line(out, "_sum", labels, sum.sum());
  }

  private void line(StringBuilder out, String suffix, String labels, long value) {
    out.append(name).append(suffix).append('{').append(labels).append("} ").append(value);
    out.append('\n');
  }
}
