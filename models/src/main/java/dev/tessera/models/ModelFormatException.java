package dev.tessera.models;

/// A model that is damaged or not supported. The message is one line for a person: what, where,
/// expected, found. Whatever it quotes from a file is escaped by [OneLine].
public final class ModelFormatException extends Exception {
  private static final long serialVersionUID = 1;

  public ModelFormatException(String message) {
    super(OneLine.of(message));
  }

  public ModelFormatException(String message, Throwable cause) {
    super(OneLine.of(message), cause);
  }
}
