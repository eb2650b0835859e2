package dev.tessera.kernels.sampling;

import dev.tessera.kernels.SampleRequest;

/// A request of which a test names only what it is about.
final class RequestBuilder {
  private final double uniform;
  private float temperature;
  private int topK;
  private float topP = 1;
  private float minP;
  private SampleRequest.Penalties penalties;
  private int[] biasTokens = {};
  private float[] biasValues = {};
  private long[] mask;
  private int scored = -1;
  private int logprobs = -1;

  private RequestBuilder(float temperature, double uniform) {
    this.temperature = temperature;
    this.uniform = uniform;
  }

  static RequestBuilder greedy() {
    return new RequestBuilder(0, 0);
  }

  static RequestBuilder random(double uniform) {
    return new RequestBuilder(1, uniform);
  }

  RequestBuilder temperature(float value) {
    temperature = value;
    return this;
  }

  RequestBuilder topK(int value) {
    topK = value;
    return this;
  }

  RequestBuilder topP(float value) {
    topP = value;
    return this;
  }

  RequestBuilder minP(float value) {
    minP = value;
    return this;
  }

  RequestBuilder penalties(SampleRequest.Penalties value) {
    penalties = value;
    return this;
  }

  RequestBuilder bias(int token, float value) {
    biasTokens = new int[] {token};
    biasValues = new float[] {value};
    return this;
  }

  RequestBuilder mask(long... value) {
    mask = value;
    return this;
  }

  RequestBuilder scored(int value) {
    scored = value;
    return this;
  }

  RequestBuilder logprobs(int value) {
    logprobs = value;
    return this;
  }

  SampleRequest build() {
    return new SampleRequest(
        0,
        temperature,
        topK,
        topP,
        minP,
        uniform,
        penalties,
        biasTokens,
        biasValues,
        mask,
        scored,
        logprobs);
  }
}
