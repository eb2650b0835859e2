package dev.tessera.server.eval;

/// Where a figure lies with 95 % confidence; not a number where nothing was measured.
public record Interval(double low, double high) {}
