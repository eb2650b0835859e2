package dev.tessera.server.cli;

import dev.tessera.server.http.HttpSettings;
import dev.tessera.server.http.RequestLimits;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;

/// Every key of the configuration. `config/application.yaml` documents them; a test holds the two
/// together.
final class Options {
  static final Option<String> MODEL =
      new Option<>(
          "model.source",
          "--model",
          "MODEL",
          "default",
          Function.identity(),
          "What to serve: 'default', a GGUF file, a directory with safetensors, or"
              + " hf:org/repo[:file]");
  static final Option<List<String>> SERVED_NAMES =
      new Option<>(
          "model.served-names",
          "--served-model-name",
          "NAME",
          "",
          Options::list,
          "Names that clients may ask for; the first one is given in answers");
  static final Option<String> CHAT_TEMPLATE =
      new Option<>(
          "model.chat-template",
          "--chat-template",
          "FILE",
          "",
          Function.identity(),
          "File with a chat template to use in the place of the model's own");
  static final Option<Integer> CONTEXT =
      new Option<>(
          "model.context",
          "--context",
          "TOKENS",
          "0",
          text -> integer(text, 0, 1 << 24),
          "Tokens that a prompt and its answer may have together; 0 for what the model was made"
              + " for");

  static final Option<String> HOST =
      new Option<>(
          "server.host",
          "--host",
          "ADDRESS",
          HttpSettings.DEFAULT.host(),
          Function.identity(),
          "Address to listen on");
  static final Option<Integer> PORT =
      new Option<>(
          "server.port",
          "--port",
          "PORT",
          Integer.toString(HttpSettings.DEFAULT.port()),
          text -> integer(text, 0, 65_535),
          "Port to listen on; 0 takes a free one");
  static final Option<Integer> MANAGEMENT_PORT =
      new Option<>(
          "server.management-port",
          "--management-port",
          "PORT",
          "-1",
          text -> integer(text, -1, 65_535),
          "Port of a second listener for /metrics and /health, without keys; -1 for none");
  static final Option<List<String>> API_KEYS =
      new Option<>(
          "server.api-keys",
          "--api-key",
          "KEY",
          "",
          Options::list,
          "Keys that let a request in; none lets every request in");
  static final Option<List<String>> CORS_ORIGINS =
      new Option<>(
          "server.cors-origins",
          "--cors-origin",
          "ORIGIN",
          "",
          Options::list,
          "Origins that browsers may call from; '*' for all; none switches CORS off");
  static final Option<Duration> DRAIN =
      new Option<>(
          "server.drain-seconds",
          "--drain-seconds",
          "SECONDS",
          "30",
          text -> Duration.ofSeconds(integer(text, 0, 86_400)),
          "Time that running requests get to finish after SIGTERM");

  static final Option<String> BACKEND =
      new Option<>(
          "backend.name",
          "--backend",
          "NAME",
          "auto",
          Function.identity(),
          "Kernels to compute with: 'auto' for the fastest that this machine has");
  static final Option<String> ISA =
      new Option<>(
          "backend.isa",
          "--isa",
          "NAME",
          "auto",
          text -> oneOf(text, "auto", "avx512", "avx2", "portable"),
          "Instruction set of the native kernels: auto, avx512, avx2 or portable");
  static final Option<Integer> THREADS =
      new Option<>(
          "backend.threads",
          "--threads",
          "COUNT",
          "0",
          text -> integer(text, 0, 4096),
          "Threads that compute; 0 for as many as the machine or its cgroup allows");

  static final Option<Long> KV_MEMORY =
      new Option<>(
          "kv-cache.memory",
          "--kv-memory",
          "SIZE",
          "0",
          ByteSize::parse,
          "Memory of the KV-cache, for example 512M or 8G; 0 for a share of what is free");
  static final Option<String> KV_POLICY =
      new Option<>(
          "kv-cache.policy",
          "--kv-cache",
          "POLICY",
          "near-lossless",
          Function.identity(),
          "Form of the tiles: exact, or which formats they cool to with age (temperature:POLICY:"
              + " when memory runs short)");
  static final Option<Long> KV_TAILS =
      new Option<>(
          "kv-cache.tail-memory",
          "",
          "SIZE",
          "0",
          ByteSize::parse,
          "Of it, memory of exact copies for later prompts; 0 for an eighth");

  static final Option<Long> KV_DISK =
      new Option<>(
          "kv-cache.disk",
          "--kv-disk",
          "SIZE",
          "0",
          ByteSize::parse,
          "Disk for tiles that memory has no room for, for example 8G; 0 for none");
  static final Option<String> KV_DISK_DIRECTORY =
      new Option<>(
          "kv-cache.disk-directory",
          "--kv-disk-directory",
          "DIRECTORY",
          "",
          Function.identity(),
          "Where to keep them for the next start; empty for scratch that goes at the end");

  static final Option<Integer> PARALLEL =
      new Option<>(
          "scheduler.max-sequences",
          "--parallel",
          "COUNT",
          "64",
          text -> integer(text, 1, 4096),
          "Sequences that are computed at the same time at most");
  static final Option<Integer> MAX_QUEUED_REQUESTS =
      key("scheduler.max-queued-requests", "512", 1, 1 << 20, "Requests that may wait");
  static final Option<Integer> MAX_QUEUED_PROMPT_TOKENS =
      key(
          "scheduler.max-queued-prompt-tokens",
          "4000000",
          1,
          Integer.MAX_VALUE,
          "Prompt tokens that may wait");
  static final Option<Integer> TARGET_STEP_MILLIS =
      key(
          "scheduler.target-step-millis",
          "50",
          1,
          60_000,
          "Time that a step should take at most: what a stream waits while prompts are computed");
  static final Option<Integer> STREAM_INTERVAL_MILLIS =
      key(
          "scheduler.stream-interval-millis",
          "10",
          0,
          1_000,
          "Tokens of a stream that come sooner after one another are sent together; 0 for never");
  static final Option<Integer> MAX_STEP_TOKENS =
      key("scheduler.max-step-tokens", "1024", 1, 1 << 20, "Tokens of a step at most");
  static final Option<Integer> MAX_QUEUED_EVENTS =
      key(
          "scheduler.max-queued-events",
          "16384",
          16,
          1 << 24,
          "Tokens that a client may leave unread before its request is cancelled");
  static final Option<Integer> STALL_MILLIS =
      key(
          "scheduler.stall-millis",
          "60000",
          100,
          3_600_000,
          "Time without progress after which /health says so");

  static final Option<Integer> MAX_CONNECTIONS =
      key("http.max-connections", "4096", 1, 1 << 20, "TCP connections");
  static final Option<Integer> MAX_REQUESTS =
      key("http.max-requests", "1024", 1, 1 << 20, "Generation requests being answered at once");
  static final Option<Integer> IDLE_SECONDS =
      key("http.idle-seconds", "300", 1, 86_400, "Time that a connection may wait for a request");
  static final Option<Integer> HEADER_SECONDS =
      key("http.header-seconds", "10", 1, 3600, "Time that a request's headers may take");
  static final Option<Integer> BODY_SECONDS =
      key("http.body-seconds", "30", 1, 3600, "Time that a request's body may take");
  static final Option<Integer> WRITE_SECONDS =
      key("http.write-seconds", "60", 1, 3600, "Time that a client may leave an answer unread");
  static final Option<Integer> REQUEST_SECONDS =
      key("http.request-seconds", "3600", 1, 86_400, "Time that a request may take altogether");
  static final Option<Integer> KEEP_ALIVE_SECONDS =
      key(
          "http.keep-alive-seconds",
          "10",
          1,
          3600,
          "Silence after which an event stream gets a comment");
  static final Option<Integer> BODY_BYTES =
      key(
          "http.body-bytes",
          Integer.toString(RequestLimits.DEFAULT.bodyBytes()),
          1024,
          1 << 30,
          "Bytes of a request's body");

  static final Option<Integer> SAMPLES =
      key("request.samples", "8", 1, 1024, "Continuations of a prompt (n)");
  static final Option<Integer> PROMPTS =
      key("request.prompts", "64", 1, 4096, "Prompts of a request");
  static final Option<Integer> STOP_STRINGS =
      key("request.stop-strings", "16", 1, 1024, "Stop strings of a request");
  static final Option<Integer> STOP_CHARACTERS =
      key("request.stop-characters", "256", 1, 4096, "Characters of a stop string");
  static final Option<Integer> LOGPROBS =
      key("request.logprobs", "20", 1, 1024, "Alternatives that are reported with a token");
  static final Option<Integer> LOGIT_BIASES =
      key("request.logit-biases", "1024", 1, 1 << 16, "Biased tokens of a request");
  static final Option<Integer> SEQUENCES =
      key("request.sequences", "128", 1, 1 << 20, "Prompts of a request times its samples");
  static final Option<Integer> GENERATED_TOKENS =
      key(
          "request.generated-tokens",
          "1048576",
          1,
          Integer.MAX_VALUE,
          "Tokens that all sequences of a request may generate together");

  static final Option<String> LOG_LEVEL =
      new Option<>(
          "log.level",
          "--log-level",
          "LEVEL",
          "info",
          text -> oneOf(text, "debug", "info", "warning", "error"),
          "What is logged: debug, info, warning or error; info is for serve, the other commands"
              + " log warnings");

  /// In the order of the file.
  static final List<Option<?>> ALL =
      List.of(
          MODEL,
          SERVED_NAMES,
          CHAT_TEMPLATE,
          CONTEXT,
          HOST,
          PORT,
          MANAGEMENT_PORT,
          API_KEYS,
          CORS_ORIGINS,
          DRAIN,
          BACKEND,
          ISA,
          THREADS,
          KV_MEMORY,
          KV_POLICY,
          KV_TAILS,
          KV_DISK,
          KV_DISK_DIRECTORY,
          PARALLEL,
          MAX_QUEUED_REQUESTS,
          MAX_QUEUED_PROMPT_TOKENS,
          TARGET_STEP_MILLIS,
          STREAM_INTERVAL_MILLIS,
          MAX_STEP_TOKENS,
          MAX_QUEUED_EVENTS,
          STALL_MILLIS,
          MAX_CONNECTIONS,
          MAX_REQUESTS,
          IDLE_SECONDS,
          HEADER_SECONDS,
          BODY_SECONDS,
          WRITE_SECONDS,
          REQUEST_SECONDS,
          KEEP_ALIVE_SECONDS,
          BODY_BYTES,
          SAMPLES,
          PROMPTS,
          STOP_STRINGS,
          STOP_CHARACTERS,
          LOGPROBS,
          LOGIT_BIASES,
          SEQUENCES,
          GENERATED_TOKENS,
          LOG_LEVEL);

  /// What a command needs that computes but does not listen.
  static final List<Option<?>> LOCAL =
      List.of(
          MODEL,
          CHAT_TEMPLATE,
          CONTEXT,
          BACKEND,
          ISA,
          THREADS,
          KV_MEMORY,
          KV_POLICY,
          PARALLEL,
          LOG_LEVEL);

  private Options() {}

  private static Option<Integer> key(
      String key, String absent, int low, int high, String description) {
    return new Option<>(key, "", "COUNT", absent, text -> integer(text, low, high), description);
  }

  private static int integer(String text, int low, int high) {
    int value;
    try {
      value = Integer.parseInt(text.strip());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("must be an integer", e);
    }
    if (value < low || value > high) {
      throw new IllegalArgumentException("must be from %d to %d".formatted(low, high));
    }
    return value;
  }

  private static List<String> list(String text) {
    return Arrays.stream(text.split(",")).map(String::strip).filter(s -> !s.isEmpty()).toList();
  }

  private static String oneOf(String text, String... values) {
    if (!List.of(values).contains(text)) {
      throw new IllegalArgumentException("must be one of " + String.join(", ", values));
    }
    return text;
  }
}
