package dev.tessera.kvcache;

import java.util.Random;

/// Random cache policies.
final class Policies {

  private Policies() {}

  /// A policy that cools something.
  ///
  /// @param spectral whether keys may have the learned formats
  static String randomText(Random random, int layers, boolean spectral) {
    int last = 64 * (1 + random.nextInt(5));
    StringBuilder text = new StringBuilder("exact:first=");
    text.append(random.nextInt(3) * 50).append(",last=").append(last);
    text.append(";k=").append(ladder(random, last, spectral && random.nextBoolean()));
    if (random.nextInt(4) > 0) {
      text.append(";v=").append(ladder(random, last, false));
    }
    for (int i = random.nextInt(3); i > 0; i--) {
      int layer = random.nextInt(layers);
      text.append(random.nextBoolean() ? ";" : ",").append("layers.").append(layer);
      if (random.nextInt(3) == 0) {
        text.append('-').append(layer + random.nextInt(layers - layer));
      }
      text.append(new String[] {"", ".k", ".v"}[random.nextInt(3)]).append('=');
      text.append(random.nextInt(4) == 0 ? "exact" : ladder(random, last, false));
    }
    return text.toString();
  }

  private static String ladder(Random random, int last, boolean spectral) {
    if (random.nextInt(4) == 0) {
      return random.nextBoolean() ? "i8" : random.nextBoolean() ? "pq64" : "pq16";
    }
    int bits = (spectral ? 4 : 5) - random.nextInt(2);
    String spared = spectral && random.nextBoolean() ? "+" + (1 + random.nextInt(3)) : "";
    StringBuilder text = new StringBuilder();
    int age = last;
    for (; bits >= 2 && (age == last || random.nextBoolean()); bits--) {
      text.append(age > last ? "," : "").append(spectral ? "s" : "p").append(bits).append(spared);
      text.append(age > last || random.nextBoolean() ? "@" + age : "");
      age += 64 * (1 + random.nextInt(6));
    }
    return text.toString();
  }
}
