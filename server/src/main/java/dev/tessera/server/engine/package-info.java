/// Sequences in, tokens out: one thread that owns the model, the cache and every sequence.
///
/// A request goes through these types: [dev.tessera.server.engine.Engine] accepts it or says why
/// not; [dev.tessera.server.engine.EngineCore] makes the steps; in each,
/// [dev.tessera.server.engine.Scheduler] decides which tokens of which
/// [dev.tessera.server.engine.Sequence] are computed, [dev.tessera.server.engine.BatchBuilder]
/// flattens that into arrays, [dev.tessera.server.engine.ModelRunner] computes and samples, and
/// what comes out goes to each request's [dev.tessera.server.engine.TokenQueue].
///
/// Nothing here knows of HTTP, text or files: tokens are numbers. Only `Engine`, the queue and the
/// gate are safe for several threads; everything else belongs to the engine's.
package dev.tessera.server.engine;
