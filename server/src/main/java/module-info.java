/// Requests in, tokens out.
@org.jspecify.annotations.NullMarked
module dev.tessera.server {
  requires dev.tessera.models;
  requires dev.tessera.kernels;
  requires dev.tessera.kvcache;
  requires static transitive org.jspecify;
  requires io.helidon.webserver;
  requires com.fasterxml.jackson.databind;
  requires com.fasterxml.jackson.dataformat.yaml;
  requires com.github.benmanes.caffeine;
  requires micrometer.core;
  requires micrometer.registry.prometheus;
  requires info.picocli;
  requires me.tongfei.progressbar;
  requires org.jline.reader;
  requires org.jline.terminal;
  requires java.logging;
  requires java.management;
  requires java.net.http;
  requires jdk.management;

  opens dev.tessera.server.cli to
      info.picocli;
}
