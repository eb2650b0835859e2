# docker build -t tessera .        docker run -p 8000:8000 -v tessera-models:/models tessera

FROM eclipse-temurin:25-jdk-noble AS build
RUN apt-get update && apt-get install -y --no-install-recommends maven gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN mvn -B -ntp -DskipTests -Dformat.skip=true package
RUN jlink --add-modules java.base,java.logging,java.management,java.naming,java.net.http,java.xml,java.desktop,jdk.crypto.ec,jdk.incubator.vector,jdk.management,jdk.unsupported,jdk.httpserver \
    --strip-debug --no-header-files --no-man-pages --output /runtime

FROM ubuntu:noble
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /home/tessera tessera \
    && mkdir /models && chown tessera /models
COPY --from=build /runtime /opt/java
COPY --from=build /src/server/target/dist/lib /opt/tessera/lib
COPY --from=build /src/config /opt/tessera/config
COPY --from=build /src/tessera /opt/tessera/tessera
ENV JAVA_HOME=/opt/java TESSERA_CACHE=/models TESSERA_HOST=0.0.0.0
USER tessera
VOLUME /models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["bash", "-c", "port=${TESSERA_PORT:-8000}; exec 3<>/dev/tcp/127.0.0.1/${port/tcp:*/8000} && printf 'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/tessera/tessera"]
CMD ["serve"]
