package dev.tessera.models.template;

/// A value that is not there: false, empty, printed as nothing; everything else with it is an
/// error.
///
/// @param what names it in that error
record Undefined(String what) {
  Failure failure() {
    return new Failure(what + " is undefined");
  }
}
