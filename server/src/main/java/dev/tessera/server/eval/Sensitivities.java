package dev.tessera.server.eval;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;

/// What a model's layers make of coded tiles, keys and values apart.
///
/// @param sides of every layer that cools, keys before values, layers ascending
/// @param scale mean divergence of a text that nothing was learned from, by the sum of what single
///   sides do to the calibration text
public record Sensitivities(List<Side> sides, double scale) {

  /// One layer's keys or values.
  ///
  /// @param layer of the model
  /// @param options every rung that was tried, by rising bits
  public record Side(int layer, boolean isValue, List<Option> options) {
    public Side {
      options = List.copyOf(options);
    }
  }

  /// What it costs to store a side in one rung while everything else is exact.
  ///
  /// @param rung as policies write it
  /// @param bits stored, of an element
  /// @param continued mean divergence where a text goes on, in nats
  /// @param answers the same where something is to be found again
  public record Option(String rung, double bits, double continued, double answers) {

    /// An answer's divergence is some eight times that of text that goes on, in every policy: so
    /// each counts about one half.
    double damage() {
      return continued + answers / 8;
    }
  }

  public Sensitivities {
    sides = List.copyOf(sides);
  }

  byte[] bytes() {
    var bytes = new ByteArrayOutputStream();
    try (var out = new DataOutputStream(bytes)) {
      out.writeDouble(scale);
      out.writeInt(sides.size());
      for (Side side : sides) {
        out.writeInt(side.layer);
        out.writeBoolean(side.isValue);
        out.writeInt(side.options.size());
        for (Option option : side.options) {
          out.writeUTF(option.rung);
          out.writeDouble(option.bits);
          out.writeDouble(option.continued);
          out.writeDouble(option.answers);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  /// @throws IllegalArgumentException if these are no such bytes
  static Sensitivities of(byte[] bytes) {
    try (var in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      double scale = in.readDouble();
      List<Side> sides = new ArrayList<>();
      for (int left = in.readInt(); left > 0; left--) {
        int layer = in.readInt();
        boolean isValue = in.readBoolean();
        List<Option> options = new ArrayList<>();
        for (int more = in.readInt(); more > 0; more--) {
          options.add(new Option(in.readUTF(), in.readDouble(), in.readDouble(), in.readDouble()));
        }
        sides.add(new Side(layer, isValue, options));
      }
      if (in.read() >= 0 || sides.isEmpty()) {
        throw new IllegalArgumentException("sensitivities of an unknown form");
      }
      return new Sensitivities(sides, scale);
    } catch (IOException e) {
      throw new IllegalArgumentException("sensitivities that end too early", e);
    }
  }
}
